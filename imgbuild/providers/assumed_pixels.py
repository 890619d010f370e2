"""What pixels a ratio and a resolution probably give, where a gateway in front of a known model is silent.

Assumptions, on the small side: they choose a generation that covers a wanted size, and nothing else. What
comes back is measured.
"""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.image import Size

# gpt-image-2 takes edges of 16 pixels' steps, 3840 at most, 8,294,400 pixels at most, and no shape longer
# than 3:1. What gateways call 1k has about 1024x1024 pixels, 2k an edge of 2048, 4k all that is possible.
_GPT_IMAGE_2 = """
1:1 1024x1024 2048x2048 2880x2880
5:4 1120x896 2048x1632 3216x2576
4:3 1024x768 2048x1536 3312x2480
3:2 1248x832 2048x1360 3520x2352
16:9 1360x768 2048x1152 3840x2160
2:1 1440x720 2048x1024 3840x1920
21:9 1568x672 2048x880 3840x1648
3:1 1776x592 2048x688 3840x1280
"""
# What Gemini's image models give at 1k, the smaller one where its generations differ; 2k and 4k are two and
# four times that. They have no 2:1 and 3:1 of their own, which gateways offer all the same.
_NANO_BANANA = """
1:1 1024x1024
5:4 1152x896
4:3 1184x864
3:2 1248x832
16:9 1344x768
2:1 1408x704
21:9 1536x672
3:1 1728x576
"""


def gpt_image_2(resolution: str) -> Mapping[str, Size]:
    """Pixels by ratio, wide and tall, at 1k, 2k or 4k."""
    column = ("1k", "2k", "4k").index(resolution)
    return _by_ratio({row[0]: _size(row[1 + column]) for row in _rows(_GPT_IMAGE_2)})


def nano_banana(resolution: str) -> Mapping[str, Size]:
    """Pixels by ratio, wide and tall, at 1k, 2k or 4k."""
    times = {"1k": 1, "2k": 2, "4k": 4}[resolution]
    at_1k = {row[0]: _size(row[1]) for row in _rows(_NANO_BANANA)}
    return _by_ratio({ratio: Size(s.width * times, s.height * times) for ratio, s in at_1k.items()})


def _by_ratio(wide: Mapping[str, Size]) -> Mapping[str, Size]:
    """Each ratio, and each turned by a quarter."""
    tall = {":".join(reversed(ratio.split(":"))): Size(s.height, s.width) for ratio, s in wide.items()}
    return {**wide, **tall}


def _rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.split("\n") if line]


def _size(text: str) -> Size:
    width, height = map(int, text.split("x"))
    return Size(width, height)
