"""The models of the dialect `uniall`: formats, sizes and what pixels the NanoBanana family gives.

Transcribed from the service's document of 2026-04-29, apart from the client's own table: a slip of the
pen in one of them shows.
"""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.image import Size

_ALL = ("png", "jpeg", "webp")
_NO_WEBP = ("png", "jpeg")

FORMATS: Mapping[str, tuple[str, ...]] = {
    "gpt-image-2": _ALL,
    "NanoBanana": _ALL,
    "NanoBanana2-0.5K": _NO_WEBP,
    "NanoBanana2-1K": _NO_WEBP,
    "NanoBanana2-2K": _NO_WEBP,
    "NanoBanana2-4K": _NO_WEBP,
    "NanoBananaPro-1K": _NO_WEBP,
    "NanoBananaPro-2K": _NO_WEBP,
    "NanoBananaPro-4K": _NO_WEBP,
    "NanoBananaPro-8K": _NO_WEBP,
}
"""Every model, with the values of output_format that it takes (sections 2 and 4.4)."""

_SIZES = """
    1024x768 768x1024 1344x1024 1024x1344 1280x1024 1024x1280 1360x768 768x1360
    1536x864 864x1536 1024x1024 1536x1024 1024x1536 2048x1024 1024x2048 2016x864
    864x2016 1920x1080 1080x1920 1536x1536 2048x1360 1360x2048 2048x1536 1536x2048
    2160x1440 1440x2160 2048x1152 1152x2048 2688x1344 1344x2688 2688x1152 1152x2688
    2560x1440 1440x2560 2048x2048 2560x2048 2048x2560 2880x2880 3264x2448 2448x3264
    3504x2336 2336x3504 3840x1920 1920x3840 3840x1648 1648x3840 3840x2160 2160x3840
"""
GPT_IMAGE_SIZES = frozenset(_SIZES.split())
"""What gpt-image-2 takes as size (section 5.5)."""

_FIRST_BUCKETS = {
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
_LATER_BUCKETS = {
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
"""What Gemini's image models return at 1K, by ratio: pixels are buckets, some 3 % off the ratio."""


def nano_pixels(model: str, ratio: str) -> Size | None:
    """What a NanoBanana model returns for a ratio; None if it has no such ratio."""
    size = (_FIRST_BUCKETS if model == "NanoBanana" else _LATER_BUCKETS).get(ratio)
    if size is None:
        return None
    tier = float(model.partition("-")[2].removesuffix("K") or "1")
    return Size(int(size.width * tier), int(size.height * tier))
