"""Where a picture goes in a frame of another size, and moving its pixels there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Fit, Size
from imgbuild.images.encode import check_size
from imgbuild.images.vips import pyvips

_JPEG_SHRINKS = (8, 4, 2)
_HEADROOM = 2
"""A JPEG's cheap shrink-on-load must leave this factor to lanczos3, or its box filter would show."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Scale to `scaled`, then put that at (left, top) of the frame; negative offsets crop. Pixels."""

    scaled: Size
    left: int
    top: int


def place(source: Size, frame: Size, fit: Fit) -> Placement:
    """How `source` fills `frame`. `contain` never enlarges; `cover` and `fill` do where they must.

    Raises BadImageError for `exact` when the sizes differ.
    """
    if fit == "exact" and source != frame:
        raise BadImageError(
            f"the picture is {source}, and fit: exact asks for {frame}",
            remedy="Ask for a size that the model gives, or use fit: cover, contain or fill.",
        )
    if fit in ("exact", "fill"):
        return Placement(frame, 0, 0)
    across, down = frame.width / source.width, frame.height / source.height
    scale = max(across, down) if fit == "cover" else min(across, down, 1.0)
    # Rounding must not leave a gap of one pixel in a cover, nor overflow the frame in a contain.
    least, most = (frame, None) if fit == "cover" else (Size(1, 1), frame)
    width, height = round(source.width * scale), round(source.height * scale)
    scaled = Size(max(width, least.width), max(height, least.height))
    if most is not None:
        scaled = Size(min(scaled.width, most.width), min(scaled.height, most.height))
    return Placement(scaled, (frame.width - scaled.width) // 2, (frame.height - scaled.height) // 2)


def jpeg_shrink(source: Size, scaled: Size) -> int:
    """How much of the reduction the JPEG decoder may do without a visible difference: 1, 2, 4 or 8."""
    factor = min(source.width / scaled.width, source.height / scaled.height)
    return next((shrink for shrink in _JPEG_SHRINKS if factor >= shrink * _HEADROOM), 1)


def resized(image: pyvips.Image, size: Size, kernel: str | None) -> pyvips.Image:
    """Resample to exactly `size`; colours of transparent pixels do not bleed. `kernel` None is lanczos3."""
    if (image.width, image.height) == (size.width, size.height):
        return image
    kernel = kernel or "lanczos3"
    across, down = size.width / image.width, size.height / image.height
    # nearest mixes no pixels, and what it takes must stay exactly what it was.
    if not image.hasalpha() or kernel == "nearest":
        return image.resize(across, vscale=down, kernel=kernel)
    return image.premultiply().resize(across, vscale=down, kernel=kernel).unpremultiply().rint().cast("uchar")


def framed(image: pyvips.Image, placement: Placement, size: Size, focus: str | None) -> pyvips.Image:
    """Crop or pad the scaled picture to `size`: what is cropped keeps `focus`, what is padded is transparent.

    Raises BadImageError for a focus that is none.
    """
    left, top = placement.left, placement.top
    if left >= 0 and top >= 0:
        return enlarged(image, left, top, size)
    if focus in ("attention", "entropy"):
        check_size(image.width, image.height)
        # It is looked at more than once, and a decoder reads its rows only once.
        return image.copy_memory().smartcrop(size.width, size.height, interesting=focus)
    if focus is not None:
        x, y = _shares(focus)
        left, top = _around(x, image.width, size.width), _around(y, image.height, size.height)
    return image.crop(-left, -top, size.width, size.height)


def enlarged(image: pyvips.Image, left: int, top: int, size: Size) -> pyvips.Image:
    """The picture at (left, top) of a transparent one of `size`; unchanged where it fills that already."""
    if (image.width, image.height) == (size.width, size.height):
        return image
    check_size(size.width, size.height)
    image = image if image.hasalpha() else image.addalpha()
    return image.embed(left, top, size.width, size.height, extend="background", background=[0, 0, 0, 0])


def _shares(focus: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in focus.split(","))
    except ValueError:
        x = y = math.nan
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise BadImageError(
            f'"{focus}" is no focus',
            remedy='Use attention, entropy, or a point as shares of the sides, e.g. "0.5,0.2".',
        )
    return x, y


def _around(share: float, whole: int, part: int) -> int:
    """The offset (zero or negative) that brings a point as near to a crop's middle as the edges allow."""
    return -min(max(math.ceil(share * whole - part / 2), 0), whole - part)
