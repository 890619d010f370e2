"""Pixel art from a picture that only looks like it: squares of one colour each, on a grid."""

from __future__ import annotations

from imgbuild.core.errors import BadImageError
from imgbuild.images.vips import pyvips

_OPAQUE = 128


def snap_to_grid(image: pyvips.Image, side: int) -> pyvips.Image:
    """The picture of the same size, in which every square of `side` pixels has one colour.

    That is the median of each channel over the square's visible pixels: the colour that fills most of it
    where there is one, and the middle of what is mixed otherwise. A square of which less than half is visible
    becomes transparent, another one opaque. Pixels on the right and at the bottom that fill no whole square
    form a smaller one. Raises BadImageError for a side that is no number of pixels.
    """
    if side < 1:
        raise BadImageError(
            f"a grid of {side} pixels is none", remedy="Use the pixels that one square is wide."
        )
    side = min(side, max(image.width, image.height))
    bands = image.bands
    row = image.width * bands
    pixels = memoryview(image.write_to_memory())
    out = bytearray()
    for top in range(0, image.height, side):
        rows = [pixels[y * row : (y + 1) * row] for y in range(top, min(top + side, image.height))]
        for left in range(0, row, side * bands):
            out += _colour(b"".join([line[left : left + side * bands] for line in rows]), bands)
    across, down = -(-image.width // side), -(-image.height // side)
    squares = pyvips.Image.new_from_memory(bytes(out), across, down, bands, "uchar")
    grown = squares.copy(interpretation="srgb").zoom(side, side)
    return grown.crop(0, 0, image.width, image.height)


def _colour(square: bytes, bands: int) -> bytes:
    channels = [square[band::bands] for band in range(bands)]
    if bands == 4 and min(channels[3]) < _OPAQUE:
        seen = [index for index, alpha in enumerate(channels[3]) if alpha >= _OPAQUE]
        if 2 * len(seen) < len(channels[3]):
            return b"\0\0\0\0"
        channels = [bytes([channel[index] for index in seen]) for channel in channels]
    medians = [sorted(channel)[(len(channel) - 1) // 2] for channel in channels[:3]]
    return bytes(medians if bands == 3 else [*medians, 255])
