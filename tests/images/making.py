"""Deriving one file the short way, and looking at what came out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from imgbuild.core.derivation import Recipe
from imgbuild.core.image import Json, Metadata, Operations
from imgbuild.images.decode import inspect
from imgbuild.images.derive import Derived, derive
from imgbuild.images.vips import pyvips

FORMATS = ("png", "jpeg", "webp", "avif")
LOADERS = {"png": "pngload", "jpeg": "jpegload", "webp": "webpload", "avif": "heifload"}
SOURCE = "0" * 64


def recipe(
    format: str = "png",
    *,
    options: Mapping[str, Json] | None = None,
    metadata: Metadata = "provenance",
    embedded: Mapping[str, str] | None = None,
    **operations: object,
) -> Recipe:
    """A recipe from the members of its operations."""
    wanted = replace(Operations(), **operations)  # type: ignore[arg-type]
    return Recipe(SOURCE, format, wanted, options or {}, metadata, embedded or {})


def make(source: Path, to: Path, wanted: Recipe) -> Derived:
    """Derive one file."""
    return derive(source, [wanted], [to])[0]


def opened(path: Path) -> pyvips.Image:
    """The picture in a file that was derived."""
    return getattr(pyvips.Image, LOADERS[inspect(path).format])(str(path))


def raw(width: int, height: int, pixels: bytes) -> pyvips.Image:
    """A picture from its bytes, three or four a pixel."""
    bands = len(pixels) // (width * height)
    return pyvips.Image.new_from_memory(pixels, width, height, bands, "uchar").copy(interpretation="srgb")


def stored(image: pyvips.Image, path: Path) -> Path:
    """A PNG with exactly these pixels."""
    path.write_bytes(image.cast("uchar").copy(interpretation="srgb").pngsave_buffer())
    return path


def plain(width: int, height: int, *colour: int) -> pyvips.Image:
    """A picture of one colour."""
    return pyvips.Image.black(width, height, bands=len(colour)).linear(1, list(colour))


def colours(path: Path) -> set[bytes]:
    """The different RGBA values in a file."""
    image = opened(path)
    data = bytes((image if image.hasalpha() else image.addalpha()).write_to_memory())
    return {data[at : at + 4] for at in range(0, len(data), 4)}


def pixels(path: Path) -> str:
    """A digest of what a file shows."""
    return hashlib.sha256(opened(path).write_to_memory()).hexdigest()


def pattern(width: int, height: int, *, alpha: bool = False) -> pyvips.Image:
    """Red grows to the right, green downwards; with alpha the left half is transparent."""
    position = pyvips.Image.xyz(width, height)
    red = position[0] * (255 / width)
    green = position[1] * (255 / height)
    image = red.bandjoin([green, 128]).cast("uchar").copy(interpretation="srgb")
    if alpha:
        image = image.bandjoin(((position[0] >= width / 2).ifthenelse(255, 0)).cast("uchar"))
    return image
