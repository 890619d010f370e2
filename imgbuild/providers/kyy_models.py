"""KYY's models, as its documentation and its resellers' of November 2026 list them: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, RatioOption, ReferenceLimits, SizeOption
from imgbuild.providers import assumed_pixels

IMAGE_ROUTE = "/v1/image2/images"
BANANA_ROUTE = "/v1/banana/images"
"""A request here has its ratio in the field that holds WIDTHxHEIGHT on the other route."""

DEFAULT_RATIO = "1:1"
"""Of gpt-image-2: "when using resolution, ratio must also be provided (defaults to 1:1)"."""

_TIERS = ("1k", "2k", "4k")
_SIZES = """
1024x1024 1:1 1k
1536x1024 3:2 1k
1024x1536 2:3 1k
2048x2048 1:1 2k
2048x1152 16:9 2k
3840x2160 16:9 4k
2160x3840 9:16 4k
"""
_RATIOS = (
    "1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "5:4", "4:5", "2:1", "1:2", "21:9", "9:21",
)  # fmt: skip
# The banana route's own list is not published: these are the ratios that every Gemini image model has.
_BANANA_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
# It takes 2k and 4k for each model, and gives them for the pro ones only.
_BANANA_TIERS = {
    "nano-banana": ("1k",),
    "nano-banana-2": ("1k",),
    "nano-banana-pro": _TIERS,
    "nano-banana-2-stable": ("1k",),
    "nano-banana-pro-stable": _TIERS,
}

_IMAGE_FIELDS = ("model", "prompt", "quality", "ratio", "resolution", "size", "image_urls")
_BANANA_FIELDS = ("model", "prompt", "size", "resolution", "image_urls")


@cache
def models() -> dict[str, Capabilities]:
    """Every model by its name: the documented one first, then those that its resellers add."""
    gpt = _gpt("gpt-image-2", _TIERS, references=6, qualities=("low", "medium", "high"))
    by_resolution = _gpt("gpt-image-2-r", ("1k",), references=16)
    banana = [_banana(name, tiers) for name, tiers in _BANANA_TIERS.items()]
    return {str(each.model): each for each in [gpt, by_resolution, *banana]}


def route(model: str | None) -> str:
    """The path that requests for a model are sent to."""
    return BANANA_ROUTE if model in _BANANA_TIERS else IMAGE_ROUTE


def _gpt(name: str, tiers: tuple[str, ...], references: int, qualities: tuple[str, ...] = ()) -> Capabilities:
    sizes = [_size_option(*line.split()) for line in _SIZES.split("\n") if line]
    return Capabilities(
        model=name,
        sizes=tuple(option for option in sizes if option.tier in tiers),
        ratios=tuple(
            option for tier in tiers for option in _ratios(tier, _RATIOS, assumed_pixels.gpt_image_2(tier))
        ),
        default_ratio=DEFAULT_RATIO,
        qualities=qualities,
        default_quality=qualities[0] if qualities else None,
        references=ReferenceLimits(max_count=references, files=False),
        own_params=_IMAGE_FIELDS,
    )


def _banana(name: str, tiers: tuple[str, ...]) -> Capabilities:
    pixels = assumed_pixels.nano_banana
    return Capabilities(
        model=name,
        ratios=tuple(option for tier in tiers for option in _ratios(tier, _BANANA_RATIOS, pixels(tier))),
        references=ReferenceLimits(max_count=6, files=False),
        own_params=_BANANA_FIELDS,
    )


def _size_option(size: str, ratio: str, tier: str) -> SizeOption:
    width, height = map(int, size.split("x"))
    return SizeOption(Size(width, height), ratio, tier)


def _ratios(resolution: str, ratios: tuple[str, ...], pixels: Mapping[str, Size]) -> list[RatioOption]:
    return [RatioOption(ratio, resolution, pixels[ratio]) for ratio in ratios]
