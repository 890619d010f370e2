"""What is drawn for a ratio and a resolution, where a gateway in front of a known model names no pixels.

Written apart from the client's own table: a slip of the pen in one of them shows.
"""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.image import Size

_GPT_IMAGE_2: Mapping[str, tuple[tuple[int, int], ...]] = {
    "1:1": ((1024, 1024), (2048, 2048), (2880, 2880)),
    "4:3": ((1024, 768), (2048, 1536), (3312, 2480)),
    "5:4": ((1120, 896), (2048, 1632), (3216, 2576)),
    "3:2": ((1248, 832), (2048, 1360), (3520, 2352)),
    "16:9": ((1360, 768), (2048, 1152), (3840, 2160)),
    "2:1": ((1440, 720), (2048, 1024), (3840, 1920)),
    "21:9": ((1568, 672), (2048, 880), (3840, 1648)),
    "3:1": ((1776, 592), (2048, 688), (3840, 1280)),
}
_NANO_BANANA: Mapping[str, tuple[int, int]] = {
    "1:1": (1024, 1024),
    "4:3": (1184, 864),
    "5:4": (1152, 896),
    "3:2": (1248, 832),
    "16:9": (1344, 768),
    "2:1": (1408, 704),
    "21:9": (1536, 672),
    "3:1": (1728, 576),
}
_AUTO = "3:2"
"""What the emulated services choose by themselves: no square, so that nobody can count on one."""


def pixels(model: str, ratio: str, resolution: str) -> Size:
    """The size of a picture of `model`, for a ratio (or "auto") at 1k, 2k or 4k."""
    first, second = map(int, (_AUTO if ratio == "auto" else ratio).split(":"))
    wide = f"{max(first, second)}:{min(first, second)}"
    tier = ("1k", "2k", "4k").index(resolution)
    if model.startswith("nano-banana"):
        width, height = (edge * 2**tier for edge in _NANO_BANANA[wide])
    else:
        width, height = _GPT_IMAGE_2[wide][tier]
    return Size(height, width) if first < second else Size(width, height)
