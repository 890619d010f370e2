"""Jimmy AI's asynchronous models, as its documentation of November 2026 lists them: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, RatioOption, ReferenceLimits
from imgbuild.providers import assumed_pixels

GPT_IMAGE = "gpt-image-2"
DEFAULT_RATIO = "auto"
RATIOS = (
    "auto", "1:1", "3:2", "2:3", "4:3", "3:4", "5:4", "4:5",
    "16:9", "9:16", "2:1", "1:2", "3:1", "1:3", "21:9", "9:21",
)  # fmt: skip
GPT_IMAGE_RATIOS_AT_4K = ("16:9", "9:16", "2:1", "1:2", "21:9", "9:21")
"""All that gpt-image-2 takes at 4k: so no request at 4k may leave its ratio to the service."""

# The document offers resolutions for "gpt-image-2, nano-banana-2, etc."; the first nano-banana is known
# to make nothing larger than 1k.
_NANO_RESOLUTIONS = {
    "nano-banana": ("1k",),
    "nano-banana-2": ("1k", "2k", "4k"),
    "nano-banana-pro": ("1k", "2k", "4k"),
}
# The service names no limit for references: these are the models' own.
_REFERENCES = {GPT_IMAGE: 16, "nano-banana": 3, "nano-banana-2": 14, "nano-banana-pro": 14}

FIELDS = ("model", "prompt", "ratio", "images", "resolution", "quality")
"""Every field of a request."""


@cache
def models() -> dict[str, Capabilities]:
    """Every model by its name, in the documentation's order."""
    at = assumed_pixels.gpt_image_2
    gpt = _model(
        GPT_IMAGE,
        (
            *_ratios("1k", RATIOS, at("1k")),
            *_ratios("2k", RATIOS, at("2k")),
            *_ratios("4k", GPT_IMAGE_RATIOS_AT_4K, at("4k")),
        ),
        qualities=("low", "medium", "high"),
    )
    nano = [
        _model(
            name,
            tuple(o for tier in tiers for o in _ratios(tier, RATIOS, assumed_pixels.nano_banana(tier))),
        )
        for name, tiers in _NANO_RESOLUTIONS.items()
    ]
    return {str(each.model): each for each in [gpt, *nano]}


def _ratios(resolution: str, ratios: tuple[str, ...], pixels: Mapping[str, Size]) -> list[RatioOption]:
    return [RatioOption(ratio, resolution, pixels.get(ratio)) for ratio in ratios]


def _model(name: str, ratios: tuple[RatioOption, ...], qualities: tuple[str, ...] = ()) -> Capabilities:
    return Capabilities(
        model=name,
        ratios=ratios,
        default_ratio=DEFAULT_RATIO,
        qualities=qualities,
        default_quality=qualities[0] if qualities else None,
        references=ReferenceLimits(max_count=_REFERENCES[name]),
        own_params=FIELDS,
    )
