"""The bytes of a generated picture: a gradient that no other generation has, quickly made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pyvips

from imgbuild.core.image import Size

_STEPS = 128
_SAVE: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "png": (".png", {"compression": 1, "filter": "none"}),
    "jpeg": (".jpg", {"Q": 85}),
    "webp": (".webp", {"Q": 75, "effort": 0}),
}
"""The fastest settings that libvips has: nobody looks at these pictures twice."""


def draw(seed: str, size: Size, format: str) -> bytes:
    """A picture of exactly `size`, encoded as png, jpeg or webp.

    The same arguments give the same bytes, another seed gives other pixels: the colours come from its
    hash, and a strip of grey cells along the foot spells the hash out, as a bar code does.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    top, bottom = digest[:3], digest[3:6]
    ramp = bytes(
        (top[channel] * (_STEPS - 1 - step) + bottom[channel] * step) // (_STEPS - 1)
        for step in range(_STEPS)
        for channel in range(3)
    )
    cells = bytes(byte for byte in digest for _ in range(3))
    picture = _stretched(ramp, Size(1, _STEPS), size)
    foot = Size(size.width, max(1, size.height // 16))
    picture = picture.insert(_stretched(cells, Size(len(digest), 1), foot), 0, size.height - foot.height)
    suffix, save = _SAVE[format]
    encoded: bytes = picture.write_to_buffer(suffix, **save)
    return encoded


def _stretched(pixels: bytes, small: Size, size: Size) -> pyvips.Image:
    image = pyvips.Image.new_from_memory(pixels, small.width, small.height, 3, "uchar")
    image = image.resize(size.width / small.width, vscale=size.height / small.height, kernel="nearest")
    return image.copy(interpretation="srgb")
