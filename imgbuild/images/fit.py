"""Where a picture goes in a frame of another size, and moving its pixels there."""

from __future__ import annotations

from dataclasses import dataclass

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Fit, Size
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


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """8-bit sRGB, three bands or four, upright, from whatever the file holds."""
    if image.get_typeof("orientation") != 0 and image.get("orientation") > 1:
        # Turning reads the rows out of order, which a file that is read once from the top cannot give.
        image = image.copy_memory().autorot()
    if image.get_typeof("icc-profile-data") != 0:
        try:
            image = image.icc_transform("srgb", embedded=True)
        except pyvips.Error:
            # A broken or foreign profile: the numbers as they are come closest.
            image = image.colourspace("srgb")
    elif image.interpretation != "srgb" or image.format != "uchar":
        image = image.colourspace("srgb")
    image = image.cast("uchar")
    return image.extract_band(0, n=4 if image.hasalpha() else 3)


def scale(image: pyvips.Image, size: Size) -> pyvips.Image:
    """Resample with lanczos3 to exactly `size`; colours of transparent pixels do not bleed."""
    if (image.width, image.height) == (size.width, size.height):
        return image
    across, down = size.width / image.width, size.height / image.height
    if not image.hasalpha():
        return image.resize(across, vscale=down, kernel="lanczos3")
    return (
        image.premultiply()
        .resize(across, vscale=down, kernel="lanczos3")
        .unpremultiply()
        .rint()
        .cast("uchar")
    )


def frame(image: pyvips.Image, placement: Placement, size: Size) -> pyvips.Image:
    """Crop or pad the scaled picture to `size`. Padding is transparent where there is alpha, else white."""
    left, top = placement.left, placement.top
    if left < 0 or top < 0:
        return image.crop(-left, -top, size.width, size.height)
    if (image.width, image.height) == (size.width, size.height):
        return image
    paper = [0, 0, 0, 0] if image.hasalpha() else [255, 255, 255]
    return image.embed(left, top, size.width, size.height, extend="background", background=paper)
