"""What stands in for a picture until it is loaded: a tiny version, its dominant colour, and a ThumbHash."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from imgbuild.core.image import Size
from imgbuild.core.sniff import ImageFacts
from imgbuild.images.colours import to_srgb
from imgbuild.images.decode import load, opened
from imgbuild.images.fit import place, resized
from imgbuild.images.thumbhash import thumbhash
from imgbuild.images.vips import pyvips

_SMALL = Size(32, 32)
"""Pixels. ThumbHash keeps seven waves a side at most, and the colours of 1,024 pixels are counted soon."""
_TINY = Size(20, 20)
_HEADROOM = 4
"""What a decoder shrinks on its own stays so many times larger than what is made of it."""
_QUALITY = 30
_SEEN = 128


@dataclass(frozen=True, slots=True)
class Preview:
    """What a page shows first."""

    lqip: str
    """A low-quality image placeholder: a WebP of at most 20 pixels a side, as a data URI of 200-400 bytes."""
    color: str
    """The dominant colour, #rrggbb."""
    thumbhash: str
    """The ThumbHash (https://evanw.github.io/thumbhash) of the picture at 32 pixels, in base64."""


def preview(path: Path) -> Preview:
    """The stand-ins for the picture at `path`, the same for the same bytes.

    JPEG and WebP are decoded small. Raises BadImageError where the file is no usable picture, and
    StorageError where it cannot be read.
    """
    with opened(path) as (facts, file):
        image = _small(file, facts)
        rgba = image if image.hasalpha() else image.addalpha()
        pixels = bytes(rgba.write_to_memory())
        return Preview(
            _data_uri(_within(image, _TINY)),
            _dominant(pixels),
            base64.b64encode(thumbhash(rgba.width, rgba.height, pixels)).decode(),
        )


def _small(file: FileIO, facts: ImageFacts) -> pyvips.Image:
    largest = max(facts.width, facts.height)
    # Decoders make nothing of a side that would be less than a pixel.
    shrink = max(1, min(largest // (_HEADROOM * _SMALL.width), facts.width, facts.height))
    # JPEG can be halved three times at most.
    shrink = shrink if facts.format == "webp" else next(step for step in (8, 4, 2, 1) if step <= shrink)
    image = to_srgb(load(file, facts, shrink=shrink))
    return _within(image, _SMALL).copy_memory()


def _within(image: pyvips.Image, box: Size) -> pyvips.Image:
    size = Size(image.width, image.height)
    return resized(image, place(size, box, "contain").scaled, None)


def _data_uri(image: pyvips.Image) -> str:
    data = image.webpsave_buffer(Q=_QUALITY, alpha_q=_QUALITY, effort=4, keep="none")
    return "data:image/webp;base64," + base64.b64encode(data).decode()


def _dominant(pixels: bytes) -> str:
    """The mean of the most frequent of 512 groups of colours; of visible pixels, if there are any."""
    colours = [tuple(pixels[at : at + 3]) for at in range(0, len(pixels), 4) if pixels[at + 3] >= _SEEN]
    if not colours:
        return "#000000"
    groups = Counter((red >> 5, green >> 5, blue >> 5) for red, green, blue in colours)
    most = max(groups.values())
    # Of several that are equally frequent always the same one.
    group = min(group for group, count in groups.items() if count == most)
    members = [colour for colour in colours if tuple(value >> 5 for value in colour) == group]
    mean = (round(sum(channel) / len(members)) for channel in zip(*members, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mean)
