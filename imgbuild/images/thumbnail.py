"""Small versions of pictures for people to look at: WebP for a page, PNG or bare pixels for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from imgbuild.images.colours import to_srgb
from imgbuild.images.decode import decoding, opened
from imgbuild.images.vips import pyvips

_QUALITY = 68
"""Of lossy WebP: at the size of a thumbnail nobody sees the difference to more."""
_TINY = 96
"""Pixels a side up to which a picture is kept without loss: pixel art and icons blur at once."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A small picture as bytes of red, green and blue, row by row."""

    width: int
    height: int
    rgb: bytes


def thumbnail(path: Path, side: int) -> bytes:
    """The picture as WebP, at most `side` pixels wide and high; a smaller one keeps its size.

    Raises BadImageError where the file is no usable picture, and StorageError where it cannot be read.
    """
    with opened(path) as (_, file):
        image = _small(file, path, side, side)
        lossless = max(image.width, image.height) <= _TINY
        return bytes(image.webpsave_buffer(Q=_QUALITY, lossless=lossless, effort=2, keep="none"))


def small_png(path: Path, side: int) -> bytes:
    """The same as PNG. Raises as `thumbnail` does."""
    with opened(path) as (_, file):
        return bytes(_small(file, path, side, side).pngsave_buffer(compression=6, keep="none"))


def small_pixels(path: Path, side: int) -> Pixels:
    """The same as pixels, on white where it is transparent. Raises as `thumbnail` does."""
    with opened(path) as (_, file):
        image = _small(file, path, side, side)
        image = image.flatten(background=[255, 255, 255]) if image.hasalpha() else image
        return Pixels(image.width, image.height, bytes(image.write_to_memory()))


def small_image(path: Path, width: int, height: int) -> pyvips.Image:
    """The picture in at most so many pixels. Raises as `thumbnail` does."""
    with opened(path) as (_, file):
        return _small(file, path, width, height)


def _small(file: FileIO, path: Path, width: int, height: int) -> pyvips.Image:
    """The picture, upright, in 8-bit sRGB, with its pixels in memory."""
    file.seek(0)
    source = pyvips.Source.new_from_descriptor(file.fileno())
    with decoding(path):
        image = pyvips.Image.thumbnail_source(source, width, height=height, size="down", fail_on="error")
        return to_srgb(image).copy_memory()
