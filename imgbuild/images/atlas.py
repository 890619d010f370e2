"""The pixels of atlases: what of a sprite is not empty, and pages drawn from finished pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from imgbuild.core.atlas.frame import Frame, Layout, Sprite
from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.core.image import Json, Size
from imgbuild.images.colours import to_srgb
from imgbuild.images.decode import load, opened
from imgbuild.images.derive import Derived
from imgbuild.images.encode import check_size, encode
from imgbuild.images.said import say
from imgbuild.images.vips import pyvips

# A lossy page would let colours run from one frame into the next.
_OPTIONS: Mapping[str, Mapping[str, Json]] = MappingProxyType({"png": {}, "webp": {"lossless": True}})
FORMATS = tuple(_OPTIONS)
"""What a page can be written as."""


def trimmed(path: Path, nine_slice: tuple[int, int, int, int] | None = None) -> Sprite:
    """A picture as a sprite without its transparent border; of an empty picture one pixel stays.

    Raises BadImageError where the file is no picture, StorageError where it cannot be read.
    """
    with opened(path) as (facts, file):
        size = Size(facts.width, facts.height)
        if not facts.alpha:
            return Sprite(size, size, nine_slice=nine_slice)
        alpha = to_srgb(load(file, facts)).copy_memory()[-1]
        # `line_art`: no filter that would take a single pixel for noise.
        left, top, width, height = alpha.find_trim(threshold=0, background=[0], line_art=True)
    if not width:
        return Sprite(size, Size(1, 1), nine_slice=nine_slice)
    return Sprite(size, Size(width, height), left, top, nine_slice)


def compose(layout: Layout, page: int, files: Mapping[str, Path], to: Path, format: str) -> Derived:
    """Draw a page (counted from 0) from its frames' files, by name, and write it to `to` as png or webp.

    No pixel is resampled or loses anything. The same layout, files and `encoder(format)` give the same bytes.
    `to` is a temporary name of the caller's, who syncs and renames it. Raises BadImageError where a file
    cannot be used or has another size than it was laid out with, and StorageError where one cannot be read or
    written.
    """
    size = layout.pages[page]
    check_size(size.width, size.height, format)
    canvas = bytearray(4 * size.pixels)
    for frame in layout.on_page(page):
        drawn = _drawn(frame, files[frame.name], layout.extrude)
        _paint(canvas, size.width, drawn, frame.x - layout.extrude, frame.y - layout.extrude)
    picture = pyvips.Image.new_from_memory(canvas, size.width, size.height, 4, "uchar")
    picture = picture.copy(interpretation="srgb")
    data = encode(picture, format, _OPTIONS[format], say("provenance", {}, {}))
    try:
        to.write_bytes(data)
    except OSError as error:
        raise StorageError(
            f"{to}: cannot be written: {error.strerror}", remedy="Free some space, or check the permissions."
        ) from error
    return Derived(size.width, size.height, format, len(data))


def _paint(canvas: bytearray, across: int, image: pyvips.Image, left: int, top: int) -> None:
    """Copy rows of pixels: libvips would copy the whole canvas for each frame."""
    pixels = memoryview(image.write_to_memory())
    length = 4 * image.width
    for row in range(image.height):
        at = 4 * ((top + row) * across + left)
        canvas[at : at + length] = pixels[row * length : (row + 1) * length]


def _drawn(frame: Frame, path: Path, extrude: int) -> pyvips.Image:
    """A frame as it lies on the page, with its border pixels repeated outwards."""
    with opened(path) as (facts, file):
        if Size(facts.width, facts.height) != frame.source:
            raise BadImageError(
                f'"{frame.name}" has {facts.width}x{facts.height} pixels, and was laid out as {frame.source}',
                remedy="Something changed the file meanwhile; build again.",
            )
        image = to_srgb(load(file, facts)).copy_memory()
    upright = frame.upright
    if frame.trimmed:
        image = image.crop(frame.left, frame.top, upright.width, upright.height)
    if not image.hasalpha():
        image = image.addalpha()
    if frame.turn:
        image = image.rot("d90" if frame.turn == 90 else "d270")
    if extrude:
        width, height = frame.width + 2 * extrude, frame.height + 2 * extrude
        image = image.embed(extrude, extrude, width, height, extend="copy")
    return image
