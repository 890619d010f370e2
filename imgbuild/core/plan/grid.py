"""Services that take any size on a grid: the smallest that covers, and the one of a ratio."""

from __future__ import annotations

import math
from fractions import Fraction

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import SizeGrid

_TIER_PIXELS = {"0.5k": 512**2, "1k": 1024**2, "2k": 2048**2, "4k": 4096**2, "8k": 8192**2}


def fits(size: Size, grid: SizeGrid) -> bool:
    """Whether the service takes exactly this size."""
    return (
        size.width % grid.step == 0
        and size.height % grid.step == 0
        and max(size.width, size.height) <= grid.max_edge
        and grid.min_pixels <= size.pixels <= grid.max_pixels
        and _aspect(size) <= grid.max_aspect
    )


def covering(want: Size, grid: SizeGrid, resolution: str | None) -> Size | None:
    """The smallest size on the grid that covers `want`, close to its shape; None if none does.

    With a resolution it has about that many pixels, as far as the grid goes.
    """
    width, height = float(want.width), float(want.height)
    width, height = max(width, height / grid.max_aspect), max(height, width / grid.max_aspect)
    least = min(_TIER_PIXELS[resolution] * 0.9, grid.max_pixels * 0.9) if resolution else 0.0
    scale = max(1.0, math.sqrt(max(grid.min_pixels, least) / (width * height)))
    size = Size(_up(width * scale, grid.step), _up(height * scale, grid.step))
    # Rounding up may tip a shape at the very limit over it: one more step on the short side mends that.
    if _aspect(size) > grid.max_aspect:
        short = Size(size.width, size.height + grid.step)
        size = short if size.width > size.height else Size(size.width + grid.step, size.height)
    return size if fits(size, grid) else None


def of_ratio(ratio: Fraction, resolution: str | None, grid: SizeGrid) -> Size | None:
    """The size of exactly this ratio that comes nearest to a resolution's pixels (1k if none is given).

    One that does not exceed them, where there is one: 2k at 16:9 is 2560x1440.
    """
    target = min(max(_TIER_PIXELS[resolution or "1k"], grid.min_pixels), grid.max_pixels)
    unit = Size(ratio.numerator * grid.step, ratio.denominator * grid.step)
    middle = min(round(math.sqrt(target / unit.pixels)), grid.max_edge // max(unit.width, unit.height))
    near = [Size(unit.width * k, unit.height * k) for k in range(max(1, middle - 2), middle + 3)]
    return min(
        (size for size in near if fits(size, grid)),
        key=lambda size: (size.pixels > target, abs(math.log(size.pixels / target)), size),
        default=None,
    )


def largest(want: Size, grid: SizeGrid) -> Size:
    """The largest size on the grid that is close to the shape of `want`."""
    aspect = min(max(want.width / want.height, 1 / grid.max_aspect), grid.max_aspect)
    height = min(math.sqrt(grid.max_pixels / aspect), grid.max_edge, grid.max_edge / aspect)
    width = min(height * aspect, grid.max_edge)
    return Size(int(width // grid.step * grid.step), int(height // grid.step * grid.step))


def tier(size: Size) -> str:
    """The resolution that a size amounts to: the smallest whose pixels, with some room, hold it."""
    return _tier(size.pixels)


def resolutions(grid: SizeGrid) -> tuple[str, ...]:
    """The resolutions that a service of this grid reaches."""
    names = tuple(_TIER_PIXELS)
    return names[names.index(_tier(grid.min_pixels)) : names.index(_tier(grid.max_pixels)) + 1]


def _tier(pixels: int) -> str:
    return next((name for name, least in _TIER_PIXELS.items() if pixels <= least * 1.6), "8k")


def _up(length: float, step: int) -> int:
    return math.ceil(length / step - 1e-9) * step


def _aspect(size: Size) -> float:
    return max(size.width, size.height) / min(size.width, size.height)
