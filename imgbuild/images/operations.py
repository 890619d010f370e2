"""A recipe's operations on pixels, one after the other: from an opened master to a finished picture."""

from __future__ import annotations

from io import FileIO

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import KERNELS, Operations, Size
from imgbuild.core.sniff import ImageFacts
from imgbuild.images.colours import to_srgb
from imgbuild.images.cutout import cut_out, require_transparency
from imgbuild.images.decode import load
from imgbuild.images.edges import check_seamless, pad, to_powers_of_two, trim
from imgbuild.images.encode import check_size
from imgbuild.images.fit import Placement, framed, jpeg_shrink, place, resized
from imgbuild.images.grid import snap_to_grid
from imgbuild.images.palette import reduce_colours
from imgbuild.images.vips import pyvips


def perform(file: FileIO, facts: ImageFacts, operations: Operations) -> pyvips.Image:
    """The operations' result, except for the caption: 8-bit sRGB, three bands or four.

    Lazy where the rows can be made from the top in one pass. What is padded is transparent, in every format:
    a format without transparency shows it white. Raises BadImageError where the picture or an operation
    cannot be used.
    """
    _check_resampling(operations)
    if _looks_at_all(operations):
        image = _cleaned(to_srgb(load(file, facts)).copy_memory(), operations)
        placement, target = _plan_size(Size(image.width, image.height), operations)
    else:
        size = Size(facts.width, facts.height)
        placement, target = _plan_size(size, operations)
        # The decoder's box filter stands in for a part of the default kernel, not for another one.
        may_shrink = facts.format == "jpeg" and operations.kernel is None
        shrink = jpeg_shrink(size, placement.scaled) if may_shrink else 1
        image = to_srgb(load(file, facts, shrink=shrink))
    image = framed(resized(image, placement.scaled, operations.kernel), placement, target, operations.focus)
    if operations.palette is not None:
        bordered = operations.pad > 0 or operations.pow2
        image = reduce_colours(image.copy_memory(), operations.palette, with_transparent=bordered)
    if operations.pad:
        image = pad(image, operations.pad)
    if operations.pow2:
        image = to_powers_of_two(image)
    if operations.seamless:
        image = image.copy_memory()
        check_seamless(image)
    return image


def _looks_at_all(operations: Operations) -> bool:
    """Whether something before the resampling needs the whole picture at once."""
    return operations.alpha is not None or operations.grid is not None or operations.trim


def _cleaned(image: pyvips.Image, operations: Operations) -> pyvips.Image:
    if operations.alpha == "native":
        require_transparency(image)
    elif operations.alpha is not None:
        image = cut_out(image, operations.alpha)
    if operations.grid is not None:
        image = snap_to_grid(image, operations.grid)
    return trim(image) if operations.trim else image


def _check_resampling(operations: Operations) -> None:
    if operations.kernel is not None and operations.kernel not in KERNELS:
        raise BadImageError(f'"{operations.kernel}" is no kernel', remedy=f"Use one of {', '.join(KERNELS)}.")
    if sum(value is not None for value in (operations.size, operations.width, operations.scale)) > 1:
        raise BadImageError(
            "size, width and scale exclude each other", remedy="Declare one of them for this file."
        )


def _plan_size(source: Size, operations: Operations) -> tuple[Placement, Size]:
    """Where the picture goes in its new size. `width` keeps the ratio; it and `scale` may enlarge."""
    target = operations.size or source
    if operations.width is not None:
        target = Size(operations.width, max(1, round(source.height * operations.width / source.width)))
    elif operations.scale is not None:
        # Far from any limit, a size that is refused below without computing with infinities.
        factor = min(max(operations.scale, 0.0), 1e6)
        target = Size(*(max(1, round(side * factor)) for side in (source.width, source.height)))
    check_size(target.width, target.height)
    if operations.size is None:
        return Placement(target, 0, 0), target
    return place(source, target, operations.fit), target
