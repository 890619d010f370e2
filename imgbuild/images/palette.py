"""Few colours: a given palette, or the best one of at most so many colours, chosen and matched in Oklab.

In Oklab equal distances look equally large (Ottosson, "A perceptual color space for image processing", 2020).
"""

from __future__ import annotations

import re
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from imgbuild.core.errors import BadImageError
from imgbuild.images.vips import pyvips

_OPAQUE = 128
_TRANSPARENT = b"\0\0\0\0"
_MOST = 256
_EXACT = 4096
"""Different colours up to which each counts; of more, those that agree in five bits a channel are one."""
_AT_ONCE = 8
"""Colours that are compared together: libvips holds a band of doubles for each."""
_STEPS = 1 << 30
"""How finely distances are compared: finer than 32-bit numbers, in which libvips computes Oklab."""
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")

Colour = tuple[int, int, int]
Point = tuple[float, ...]


def reduce_colours(
    image: pyvips.Image, palette: int | tuple[str, ...], *, with_transparent: bool = False
) -> pyvips.Image:
    """The picture in at most `palette` colours, or in the given colours (#rrggbb), without dithering.

    Every pixel becomes opaque or transparent, at half its alpha. Transparent is one of a number of colours
    (also with `with_transparent`, where a border follows), and comes on top of given ones. A picture that has
    few enough colours keeps them. From 8-bit sRGB in memory. Raises BadImageError for a palette that cannot
    be used.
    """
    hard = _hardened(image)
    if isinstance(palette, tuple):
        return _matched(hard, [parse_colour(colour) for colour in _checked(palette)])
    transparent = with_transparent or (hard.hasalpha() and hard[3].min() == 0)
    least = 2 if transparent else 1
    if not least <= palette <= _MOST:
        raise BadImageError(
            f"a palette of {palette} colours cannot be made", remedy=f"Use {least} to {_MOST} colours."
        )
    most = palette - 1 if transparent else palette
    if len(set(_values(hard)) - {0}) <= most:
        return hard
    counted = _count(hard)
    counted.pop(_TRANSPARENT, None)
    entries = [_Entry(point, count) for point, count in zip(_oklab(counted), counted.values(), strict=True)]
    boxes = _cut(entries, most)
    return _matched(hard, _srgb([_mean(box) for box in boxes]))


def parse_colour(text: str) -> Colour:
    """Red, green and blue of "#rrggbb". Raises BadImageError."""
    if not _COLOUR.match(text):
        raise BadImageError(f'"{text}" is no colour', remedy='Write it as "#rrggbb", e.g. "#ff8800".')
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _checked(palette: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(palette) <= _MOST:
        raise BadImageError(
            f"a palette of {len(palette)} colours cannot be used", remedy=f"Name 1 to {_MOST} colours."
        )
    return palette


def _hardened(image: pyvips.Image) -> pyvips.Image:
    """Alpha 0 or 255 only, and no colour where nothing is seen."""
    if not image.hasalpha():
        return image
    seen = image[3] >= _OPAQUE
    return seen.ifthenelse(image[:3].bandjoin(255), 0).cast("uchar").copy(interpretation="srgb").copy_memory()


def _values(image: pyvips.Image) -> memoryview[int]:
    """The pixels as one number each."""
    bands = image if image.hasalpha() else image.addalpha()
    return memoryview(bands.write_to_memory()).cast("I")


def _count(image: pyvips.Image) -> dict[bytes, int]:
    """How often each colour (four bytes) stands in the picture, sorted; of too many, coarser ones."""
    counted = Counter(_values(image))
    if len(counted) > _EXACT:
        colours = (image[:3] & 0xF8) | 4
        hard = (image[3] == 255).ifthenelse(colours.bandjoin(255), 0) if image.hasalpha() else colours
        counted = Counter(_values(hard.cast("uchar").copy(interpretation="srgb")))
    return dict(sorted((value.to_bytes(4, sys.byteorder), count) for value, count in counted.items()))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A colour in Oklab, and the pixels that have it."""

    point: Point
    count: int


def _cut(entries: list[_Entry], most: int) -> list[list[_Entry]]:
    """At most `most` groups of similar colours: the group with the largest error is halved at its mean."""
    boxes = [(_spread(entries), entries)]
    while len(boxes) < most:
        worst = max(range(len(boxes)), key=lambda index: boxes[index][0][0])
        (error, axis), box = boxes[worst]
        if error <= 0:
            break
        middle = _mean(box)[axis]
        below = [entry for entry in box if entry.point[axis] <= middle]
        above = [entry for entry in box if entry.point[axis] > middle]
        if not below or not above:
            # The mean was rounded onto the largest value: the colours are the same to the last bit but one.
            boxes[worst] = ((0.0, axis), box)
            continue
        boxes[worst : worst + 1] = [(_spread(below), below), (_spread(above), above)]
    return [box for _, box in boxes]


def _mean(box: Sequence[_Entry]) -> Point:
    weight = sum(entry.count for entry in box)
    return tuple(sum(entry.point[axis] * entry.count for entry in box) / weight for axis in range(3))


def _spread(box: Sequence[_Entry]) -> tuple[float, int]:
    """The squared error of showing the group as its mean, along the axis where it is largest; that axis."""
    mean = _mean(box)
    errors = [
        (sum(entry.count * (entry.point[axis] - mean[axis]) ** 2 for entry in box), axis) for axis in range(3)
    ]
    return max(errors, key=lambda error: error[0])


def _matched(image: pyvips.Image, palette: Sequence[Colour]) -> pyvips.Image:
    """Every visible pixel in the palette's nearest colour."""
    place = image[:3].colourspace("oklab").cast("double").copy_memory()
    points = list(enumerate(_oklab(bytes(colour) for colour in palette)))
    groups = (points[at : at + _AT_ONCE] for at in range(0, len(points), _AT_ONCE))
    nearest = reduce(pyvips.Image.minpair, (_nearest(place, group) for group in groups))
    index = nearest - (nearest / _MOST).floor() * _MOST
    table = pyvips.Image.new_from_memory(b"".join(map(bytes, palette)), len(palette), 1, 3, "uchar")
    found = index.cast("uchar").maplut(table).copy(interpretation="srgb")
    if not image.hasalpha():
        return found
    return image[3].ifthenelse(found.bandjoin(255), 0).cast("uchar").copy(interpretation="srgb")


def _nearest(place: pyvips.Image, points: Sequence[tuple[int, Point]]) -> pyvips.Image:
    """For each pixel the distance to the nearest of some colours, and its number in the last eight bits."""
    # The squared distance, less the pixel's own square, which is the same for every colour: a band for each.
    apart = place.recomb([[-2 * value for value in point] for _, point in points])
    apart += [sum(value * value for value in point) for _, point in points]
    numbered = (apart * _STEPS).floor() * _MOST + [number for number, _ in points]
    while numbered.bands > 1:
        half = (numbered.bands + 1) // 2
        numbered = numbered[:half].minpair(numbered[numbered.bands - half :])
    return numbered.copy_memory()


def _oklab(colours: Iterable[bytes]) -> list[Point]:
    """Colours of sRGB (red, green and blue in the first three bytes) as points of Oklab."""
    data = b"".join(colour[:3] for colour in colours)
    strip = pyvips.Image.new_from_memory(data, len(data) // 3, 1, 3, "uchar").copy(interpretation="srgb")
    values = memoryview(strip.colourspace("oklab").cast("float").write_to_memory()).cast("f")
    return [tuple(values[at : at + 3]) for at in range(0, len(values), 3)]


def _srgb(points: Sequence[Point]) -> list[Colour]:
    data = array("f", (value for point in points for value in point)).tobytes()
    strip = pyvips.Image.new_from_memory(data, len(points), 1, 3, "float").copy(interpretation="oklab")
    values = bytes(strip.colourspace("srgb").cast("uchar").write_to_memory())
    return [(values[at], values[at + 1], values[at + 2]) for at in range(0, len(values), 3)]
