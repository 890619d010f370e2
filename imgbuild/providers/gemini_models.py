"""Gemini's image models: ratios, resolutions and pixels as Google documents them, prices as of their date."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, Price, RatioOption, ReferenceLimits

OWN_FIELDS = ("contents",)
"""What imgbuild fills in whole. Other members of a request it shares with `params`."""

# Pixels at 1K. Other resolutions are exact multiples; ratios are met within some 3 %.
_FIRST_GENERATION = """
1:1 1024x1024
2:3 832x1248
3:2 1248x832
3:4 864x1184
4:3 1184x864
4:5 896x1152
5:4 1152x896
9:16 768x1344
16:9 1344x768
21:9 1536x672
"""
_LATER_GENERATIONS = """
1:1 1024x1024
2:3 848x1264
3:2 1264x848
3:4 896x1200
4:3 1200x896
4:5 928x1152
5:4 1152x928
9:16 768x1376
16:9 1376x768
21:9 1584x672
"""
_EXTREMES = """
9:21 672x1584
1:4 512x2048
4:1 2048x512
1:8 384x3072
8:1 3072x384
"""
_AS_OF = "2026-03-01"


@cache
def models() -> dict[str, Capabilities]:
    """Every model by its name, the newest first."""
    return {
        "gemini-3.1-flash-image": _model(
            "gemini-3.1-flash-image",
            _LATER_GENERATIONS + _EXTREMES,
            {"0.5k": 0.045, "1k": 0.067, "2k": 0.101, "4k": 0.151},
            references=14,
        ),
        "gemini-3-pro-image": _model(
            "gemini-3-pro-image",
            _LATER_GENERATIONS,
            {"1k": 0.134, "2k": 0.134, "4k": 0.24},
            references=14,
        ),
        "gemini-2.5-flash-image": _model(
            "gemini-2.5-flash-image", _FIRST_GENERATION, {"1k": 0.039}, references=3
        ),
    }


def _model(name: str, at_1k: str, prices: Mapping[str, float], references: int) -> Capabilities:
    """A model with its resolutions and their prices in USD.

    Without a ratio a picture is square, or has the shape of the reference; without a resolution it is 1K.
    """
    rows = [line.split() for line in at_1k.split("\n") if line]
    return Capabilities(
        model=name,
        ratios=tuple(
            RatioOption(ratio, tier, _times(size, float(tier.removesuffix("k"))))
            for tier in prices
            for ratio, size in rows
        ),
        default_ratio="1:1",
        default_resolution="1k",
        references=ReferenceLimits(max_count=references),
        own_params=OWN_FIELDS,
        prices=tuple(Price(amount, tier=tier, as_of=_AS_OF) for tier, amount in prices.items()),
    )


def _times(at_1k: str, factor: float) -> Size:
    width, height = map(int, at_1k.split("x"))
    return Size(int(width * factor), int(height * factor))
