"""UniAll's models, as its documentation of 2026-04-29 lists them: pure data and what follows from it."""

from __future__ import annotations

from functools import cache

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, RatioOption, ReferenceLimits, SizeOption

GPT_IMAGE = "gpt-image-2"
DEFAULT_SIZE = Size(1024, 1024)

# The service's own tier is no function of the pixels: 2048x2048 is 4k, the larger 2560x2048 is 2k.
# A ratio is the service's label: 2048x1360 and 3840x1648 are called approximate, 1344x1024 is not.
_GPT_SIZES = """
1024x768 4:3 1k
768x1024 3:4 1k
1344x1024 4:3 1k
1024x1344 3:4 1k
1280x1024 5:4 1k
1024x1280 4:5 1k
1360x768 16:9 1k
768x1360 9:16 1k
1536x864 16:9 1k
864x1536 9:16 1k
1024x1024 1:1 1k
1536x1024 3:2 1k
1024x1536 2:3 1k
2048x1024 2:1 1k
1024x2048 1:2 1k
2016x864 21:9 1k
864x2016 9:21 1k
1920x1080 16:9 2k
1080x1920 9:16 2k
1536x1536 1:1 2k
2048x1360 3:2 2k
1360x2048 2:3 2k
2048x1536 4:3 2k
1536x2048 3:4 2k
2160x1440 3:2 2k
1440x2160 2:3 2k
2048x1152 16:9 2k
1152x2048 9:16 2k
2688x1344 2:1 2k
1344x2688 1:2 2k
2688x1152 21:9 2k
1152x2688 9:21 2k
2560x1440 16:9 2k
1440x2560 9:16 2k
2048x2048 1:1 4k
2560x2048 5:4 2k
2048x2560 4:5 2k
2880x2880 1:1 4k
3264x2448 4:3 4k
2448x3264 3:4 4k
3504x2336 3:2 4k
2336x3504 2:3 4k
3840x1920 2:1 4k
1920x3840 1:2 4k
3840x1648 21:9 4k
1648x3840 9:21 4k
3840x2160 16:9 4k
2160x3840 9:16 4k
"""

# What Gemini's image models are known to give at 1K, by ratio. The service itself publishes no pixels,
# so these choose a covering generation and nothing else.
_FIRST_GENERATION = {
    "1:1": Size(1024, 1024),
    "2:3": Size(832, 1248),
    "3:2": Size(1248, 832),
    "3:4": Size(864, 1184),
    "4:3": Size(1184, 864),
    "4:5": Size(896, 1152),
    "5:4": Size(1152, 896),
    "9:16": Size(768, 1344),
    "16:9": Size(1344, 768),
    "21:9": Size(1536, 672),
}
_LATER_GENERATIONS = {
    "1:1": Size(1024, 1024),
    "2:3": Size(848, 1264),
    "3:2": Size(1264, 848),
    "3:4": Size(896, 1200),
    "4:3": Size(1200, 896),
    "4:5": Size(928, 1152),
    "5:4": Size(1152, 928),
    "9:16": Size(768, 1376),
    "16:9": Size(1376, 768),
    "21:9": Size(1584, 672),
}
_LATER_TIERS = {
    "NanoBanana2": ("0.5k", "1k", "2k", "4k"),
    "NanoBananaPro": ("1k", "2k", "4k", "8k"),
}


@cache
def models() -> dict[str, Capabilities]:
    """Every model by its name, in the documentation's order."""
    first = _nano("NanoBanana", "1k", _FIRST_GENERATION, ("png", "jpeg", "webp"), references=3)
    later = [
        _nano(f"{family}-{tier.upper()}", tier, _LATER_GENERATIONS, ("png", "jpeg"), references=14)
        for family, tiers in _LATER_TIERS.items()
        for tier in tiers
    ]
    gpt = Capabilities(
        model=GPT_IMAGE,
        sizes=tuple(_size_option(*line.split()) for line in _GPT_SIZES.split("\n") if line),
        default_size=DEFAULT_SIZE,
        qualities=("low", "medium", "high"),
        default_quality="medium",
        formats=("png", "jpeg", "webp"),
        max_n=8,
        references=ReferenceLimits(max_count=16),
    )
    return {str(each.model): each for each in [first, *later, gpt]}


def _size_option(size: str, ratio: str, tier: str) -> SizeOption:
    width, height = map(int, size.split("x"))
    return SizeOption(Size(width, height), ratio, tier)


def _nano(
    name: str, tier: str, at_1k: dict[str, Size], formats: tuple[str, ...], references: int
) -> Capabilities:
    """A NanoBanana model. The service names no limit for references: these are Gemini's own."""
    scale = float(tier.removesuffix("k"))
    return Capabilities(
        model=name,
        ratios=tuple(
            RatioOption(ratio, tier, Size(int(size.width * scale), int(size.height * scale)))
            for ratio, size in at_1k.items()
        ),
        resolutions_in_model=(tier,),
        formats=formats,
        references=ReferenceLimits(max_count=references),
    )
