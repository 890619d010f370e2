"""ThumbHash: a picture's gist in about 25 bytes, after https://evanw.github.io/thumbhash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

_LARGEST = 100
_NOISE = 1e-9
"""Far above the rounding errors of sums of 10,000 cosines, far below the 1/255 of any difference in a
picture."""


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """The hash of a picture of at most 100x100 pixels, from its rows as not premultiplied RGBA.

    The bytes are those of the reference, except where a value lies exactly between two steps, as in flat or
    symmetrical drawings: there the reference follows the rounding errors of its machine's cosine, and this
    rounds as exact arithmetic would, so that every machine gives the same. Raises ValueError for other sizes.
    """
    count = width * height
    if not (1 <= width <= _LARGEST and 1 <= height <= _LARGEST and len(rgba) == 4 * count):
        raise ValueError(f"{len(rgba)} bytes are no RGBA picture of {width}x{height}, at most 100x100")
    alphas = [value / 255 for value in rgba[3::4]]
    total = sum(alphas)
    channels = [rgba[band::4] for band in range(3)]
    means = [_weighted(channel, alphas) / total if total else 0.0 for channel in channels]
    red, green, blue = (
        [mean * (1 - alpha) + alpha / 255 * value for alpha, value in zip(alphas, channel, strict=True)]
        for mean, channel in zip(means, channels, strict=True)
    )
    colours = list(zip(red, green, blue, strict=True))
    has_alpha = total < count
    most = 5 if has_alpha else 7
    across = max(1, _round(most * width / max(width, height)))
    down = max(1, _round(most * height / max(width, height)))

    light = _waves([(r + g + b) / 3 for r, g, b in colours], width, height, max(3, across), max(3, down))
    yellow = _waves([(r + g) / 2 - b for r, g, b in colours], width, height, 3, 3)
    crimson = _waves([r - g for r, g, _ in colours], width, height, 3, 3)
    waves = [light, yellow, crimson]

    start = _round(63 * light[0]) | _round(31.5 + 31.5 * yellow[0]) << 6
    start |= _round(31.5 + 31.5 * crimson[0]) << 12 | _round(31 * light[2]) << 18 | has_alpha << 23
    landscape = width > height
    rest = (down if landscape else across) | _round(63 * yellow[2]) << 3
    rest |= _round(63 * crimson[2]) << 9 | landscape << 15
    hashed = start.to_bytes(3, "little") + rest.to_bytes(2, "little")
    if has_alpha:
        opacity = _waves(alphas, width, height, 5, 5)
        hashed += bytes([_round(15 * opacity[0]) | _round(15 * opacity[2]) << 4])
        waves.append(opacity)
    nibbles = [_round(15 * wave) for _, varying, _ in waves for wave in varying]
    nibbles += [0] * (len(nibbles) % 2)
    return hashed + bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _weighted(channel: bytes, alphas: Sequence[float]) -> float:
    return sum(alpha / 255 * value for alpha, value in zip(alphas, channel, strict=True))


def _waves(
    channel: Sequence[float], width: int, height: int, across: int, down: int
) -> tuple[float, list[float], float]:
    """The cosine transform's constant, its first waves from 0 to 1, and the scale of these."""
    rows = [channel[at : at + width] for at in range(0, width * height, width)]
    rises = [_cosines(wave, width) for wave in range(across)]
    # For each horizontal wave, how much of it is in each row.
    columns = [[sum(map(mul, rise, row)) for row in rows] for rise in rises]
    constant, varying = 0.0, list[float]()
    for wave_y in range(down):
        fall = _cosines(wave_y, height)
        for wave_x in range(across):
            if wave_x * down >= across * (down - wave_y):
                break
            found = sum(map(mul, fall, columns[wave_x])) / (width * height)
            if wave_x or wave_y:
                varying.append(found)
            else:
                constant = found
    scale = max(map(abs, varying))
    if scale < _NOISE:
        return constant, [0.0] * len(varying), 0.0
    return constant, [0.5 + 0.5 / scale * wave for wave in varying], scale


def _cosines(wave: int, length: int) -> list[float]:
    return [math.cos(math.pi / length * wave * (at + 0.5)) for at in range(length)]


def _round(value: float) -> int:
    """JavaScript's Math.round: halves go up, and so does what only just misses them."""
    return math.floor(value + 0.5 + _NOISE)
