"""Pictures between files and pipelines: references and masks in, PNG out. Files are read by libvips alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgbuild.core.errors import StorageError
from imgbuild.core.image import Size
from imgbuild.images.colours import to_srgb
from imgbuild.images.decode import decoding, load, opened
from imgbuild.images.fit import framed, place, resized
from imgbuild.images.vips import pyvips

Picture = Any
"""A `PIL.Image.Image`, which is what pipelines take and give."""


def read_picture(path: Path, size: Size | None, block: int) -> Picture:
    """A reference in RGB, on white where it is transparent, cut to `size`.

    Without a size it keeps its own, but for what is more than whole blocks of so many pixels.
    Raises BadImageError or StorageError.
    """
    image = _open(path)
    size = size or Size(*(max(edge // block, 1) * block for edge in (image.width, image.height)))
    image = image.flatten(background=[255, 255, 255]) if image.hasalpha() else image
    return _to_pil(_cut(image, size), "RGB")


def read_mask(path: Path, size: Size) -> Picture:
    """A mask as pipelines have it: white is drawn anew.

    In a mask that is transparent anywhere, that is what is transparent, as it is for hosted services.
    """
    image = _open(path)
    if image.hasalpha() and image[-1].min() < 255:
        mask = image[-1].invert()
    else:
        mask = image.extract_band(0, n=3).colourspace("b-w")[0]
    return _to_pil(_cut(mask, size), "L")


def write_png(picture: Picture, path: Path) -> None:
    """Write a pipeline's picture. Raises StorageError."""
    try:
        with path.open("wb") as file:
            picture.save(file, format="PNG")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from None


def _open(path: Path) -> pyvips.Image:
    with opened(path) as (facts, file), decoding(path):
        return to_srgb(load(file, facts)).copy_memory()


def _cut(image: pyvips.Image, size: Size) -> pyvips.Image:
    placement = place(Size(image.width, image.height), size, "cover")
    return framed(resized(image, placement.scaled, None), placement, size, None)


def _to_pil(image: pyvips.Image, mode: str) -> Picture:
    from PIL import Image

    data = image.cast("uchar").write_to_memory()
    return Image.frombytes(mode, (image.width, image.height), bytes(data))
