"""The picture's border: trimmed, padded, grown to powers of two, or checked whether it continues itself."""

from __future__ import annotations

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Size
from imgbuild.images.fit import enlarged
from imgbuild.images.vips import pyvips

_SAME_COLOUR = 10
"""Of 255. What a service paints as one colour differs by a little, and lossy formats add to it."""
_INVISIBLE = 3
"""Alpha of 255 up to which a pixel is empty: lossy formats leave traces."""
_SEAM_FACTOR = 1.25
_SEAM_FLOOR = 2.0
"""A seam of so many of 255 levels on average cannot be seen, even in a picture of one colour."""


def trim(image: pyvips.Image) -> pyvips.Image:
    """Without its empty border: what is transparent, or else what is like the top left pixel.

    Raises BadImageError where nothing would be left.
    """
    if image.hasalpha() and image[image.bands - 1].min() < 255:
        # line_art: no blurring first, which would lose thin lines.
        box = image[image.bands - 1].find_trim(threshold=_INVISIBLE, background=[0], line_art=True)
        empty = "all of it is transparent"
    else:
        colour = image.getpoint(0, 0)[:3]
        # Specks are blurred away first, with a window that needs three pixels.
        tiny = min(image.width, image.height) < 3
        box = image[:3].find_trim(threshold=_SAME_COLOUR, background=colour, line_art=tiny)
        empty = "all of it has the same colour"
    left, top, width, height = box
    if width < 1 or height < 1:
        raise BadImageError(
            f"nothing is left of the picture when it is trimmed: {empty}",
            remedy="Look at the master; leave out trim, or change the colour that alpha cuts out.",
        )
    return image.crop(left, top, width, height)


def pad(image: pyvips.Image, by: int) -> pyvips.Image:
    """With `by` transparent pixels more on every side. Raises BadImageError where that is too large."""
    if by < 0:
        raise BadImageError(
            f"a picture cannot be padded by {by} pixels", remedy="Use trim to cut a border off."
        )
    return enlarged(image, by, by, Size(image.width + 2 * by, image.height + 2 * by))


def to_powers_of_two(image: pyvips.Image) -> pyvips.Image:
    """Both sides grow to the next power of two, to the right and downwards, transparent."""
    return enlarged(image, 0, 0, Size(_power(image.width), _power(image.height)))


def check_seamless(image: pyvips.Image) -> None:
    """Raise BadImageError where the picture, laid beside itself, would show a seam.

    The step from the last column to the first (and from the last row to the first) is held against the
    largest step between two neighbours inside: a texture's own contrast decides what is a seam in it.
    """
    shown = image.premultiply() if image.hasalpha() else image
    across, down = shown.width, shown.height
    columns = (
        _steps(shown.crop(1, 0, across - 1, down), shown.crop(0, 0, across - 1, down), 0) if across > 1 else 0
    )
    rows = (
        _steps(shown.crop(0, 1, across, down - 1), shown.crop(0, 0, across, down - 1), 1) if down > 1 else 0
    )
    seams = (
        ("left and right", _step(shown.crop(0, 0, 1, down), shown.crop(across - 1, 0, 1, down)), columns),
        ("top and bottom", _step(shown.crop(0, 0, across, 1), shown.crop(0, down - 1, across, 1)), rows),
    )
    for edges, seam, inside in seams:
        if seam > _SEAM_FACTOR * inside + _SEAM_FLOOR:
            raise BadImageError(
                f"the picture does not tile: its {edges} edges differ by {seam:.0f} of 255 levels, and "
                f"neighbours inside it by {inside:.0f} at most",
                remedy="Ask for a seamless, tileable texture, try another take, or leave out seamless.",
            )


def _step(one: pyvips.Image, other: pyvips.Image) -> float:
    return float((one.cast("float") - other).abs().avg())


def _steps(ahead: pyvips.Image, behind: pyvips.Image, axis: int) -> float:
    """The largest mean step between neighbouring columns (axis 0) or rows (axis 1)."""
    step = (ahead.cast("float") - behind).abs().bandmean()
    sums = step.project()[axis]
    return float(sums.max() / (step.height if axis == 0 else step.width))


def _power(side: int) -> int:
    return 1 << (side - 1).bit_length()
