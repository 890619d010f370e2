"""Transparency: cutting a key colour out with soft edges, or checking that the picture has its own."""

from __future__ import annotations

import math

from imgbuild.core.errors import BadImageError
from imgbuild.images.palette import parse_colour
from imgbuild.images.vips import pyvips

_SIMILAR = 100.0
"""How far, in RGB of 255 a channel, a painted background may be from the colour that was asked for."""
_LEAST_SHARE = 0.001
"""Of the pixels. Less of the key colour than that is no background."""
_EVEN = 24.0
_UNEVEN = 60.0
"""How far from its mean colour a pixel still is nothing but background: in an even one, and at most."""
_SPREAD = 2.5
"""How many root mean squares of the background's distances from its mean are still background."""
_FOREGROUND = 80.0
"""The least distance of what is taken for pure foreground at an edge: a speck of noise is none."""
_EDGE = 7
"""Pixels: the side of the window around the background in which a pixel can be a mixture with it."""
_PURE = 0.92
"""The share of the neighbourhood's distance from the key that counts as no mixture at all."""


def require_transparency(image: pyvips.Image) -> None:
    """Raise BadImageError for a picture that has no transparent pixel."""
    if not image.hasalpha() or image[3].min() == 255:
        raise BadImageError(
            "the picture has no transparency of its own",
            remedy='Ask for background: transparent where the model can, or use alpha: "key:#rrggbb".',
        )


def cut_out(image: pyvips.Image, key: str) -> pyvips.Image:
    """The picture with a key colour (#rrggbb) made transparent. From 8-bit sRGB in memory.

    The background is what is near the key colour: services paint it only about right, so its real colour is
    measured. At its edge a pixel is a mixture: of the background, and of what is farthest from it near by.
    Its alpha is its share of the latter, and the background's share is taken out of its colour, so that no
    rim is left on any other ground. Farther inside nothing changes. Raises BadImageError where the colour is
    nowhere in the picture.
    """
    seen = image[:3]
    background, limit = _background(seen, [float(value) for value in parse_colour(key)], key)
    apart = (_square_distance(seen, background) ** 0.5).copy_memory()
    is_background = (apart <= limit).copy_memory()
    at_edge = _largest(is_background)
    # In whole numbers, which libvips ranks many times faster; the largest distance in RGB is 442.
    around = _largest((apart / 2).rint().cast("uchar")) * (2 * _PURE)
    around = (around > _FOREGROUND).ifthenelse(around, _FOREGROUND)
    mixed = at_edge & (apart < around)
    colours = mixed.ifthenelse((seen - background) / (apart / around) + background, seen)
    opacity = (apart - limit) / (around - limit)
    opacity = is_background.ifthenelse(0, mixed.ifthenelse(opacity, 1))
    # Casts clip what is out of range.
    alpha = (opacity * 255).rint().cast("uchar")
    if image.hasalpha():
        alpha = (alpha < image[3]).ifthenelse(alpha, image[3])
    cut = colours.rint().cast("uchar").bandjoin(alpha)
    return (alpha > 0).ifthenelse(cut, 0).cast("uchar").copy(interpretation="srgb").copy_memory()


def _background(seen: pyvips.Image, key: list[float], text: str) -> tuple[list[float], float]:
    """The mean colour of what is near the key, and how far from it is background. Raises BadImageError."""
    near = _near(seen, key, _SIMILAR)
    if near.avg() / 255 < _LEAST_SHARE:
        raise BadImageError(
            f"the colour {text} that alpha should cut out is nowhere in the picture",
            remedy=f'Ask for a plain {text} background in the prompt, or correct the colour of "alpha".',
        )
    first = _mean(seen, near)
    nearer = _near(seen, first, _UNEVEN)
    # Two backgrounds of different colours may have nothing at their mean.
    if not nearer.max():
        return first, _EVEN
    colour = _mean(seen, nearer)
    (square,) = _mean(_square_distance(seen, colour), nearer)
    return colour, min(max(_EVEN, _SPREAD * math.sqrt(square)), _UNEVEN)


def _near(image: pyvips.Image, colour: list[float], distance: float) -> pyvips.Image:
    return (_square_distance(image, colour) <= distance * distance).copy_memory()


def _square_distance(image: pyvips.Image, colour: list[float]) -> pyvips.Image:
    apart = image - colour
    return (apart * apart).bandmean() * 3


def _mean(image: pyvips.Image, mask: pyvips.Image) -> list[float]:
    share = mask.avg() / 255
    return [mask.ifthenelse(image[band], 0).avg() / share for band in range(image.bands)]


def _largest(image: pyvips.Image) -> pyvips.Image:
    """For each pixel the largest value in the window around it."""
    width, height, rim = image.width, image.height, _EDGE // 2
    # A picture may be smaller than the window, which libvips does not allow.
    wide = image.embed(rim, rim, width + 2 * rim, height + 2 * rim, extend="copy")
    largest = wide.rank(_EDGE, 1, _EDGE - 1).rank(1, _EDGE, _EDGE - 1)
    return largest.crop(rim, rim, width, height).copy_memory()
