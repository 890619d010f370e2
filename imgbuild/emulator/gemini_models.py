"""What Gemini's image models take and return, written apart from the client's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgbuild.core.image import Size

_FIRST: Mapping[str, tuple[int, int]] = {
    "1:1": (1024, 1024),
    "3:2": (1248, 832),
    "4:3": (1184, 864),
    "5:4": (1152, 896),
    "16:9": (1344, 768),
}
_LATER: Mapping[str, tuple[int, int]] = {
    "1:1": (1024, 1024),
    "3:2": (1264, 848),
    "4:3": (1200, 896),
    "5:4": (1152, 928),
    "16:9": (1376, 768),
}
_BANDS: Mapping[str, tuple[int, int]] = {"4:1": (2048, 512), "8:1": (3072, 384)}
_SCALES = {"512": 0.5, "1K": 1.0, "2K": 2.0, "4K": 4.0}


@dataclass(frozen=True, slots=True)
class Model:
    """One model: pixels at 1K by ratio, and output tokens by the image sizes that it takes."""

    pixels: Mapping[str, tuple[int, int]]
    tokens: Mapping[str, int]
    takes_size: bool
    references: int

    def size(self, ratio: str, image_size: str) -> Size:
        """What it returns for a ratio that it has."""
        width, height = self.pixels[ratio]
        scale = _SCALES[image_size]
        return Size(int(width * scale), int(height * scale))


def _both_ways(wide: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Each shape, and upright."""
    upright = {":".join(reversed(ratio.split(":"))): (short, long) for ratio, (long, short) in wide.items()}
    return {**wide, **upright}


MODELS: Mapping[str, Model] = {
    "gemini-2.5-flash-image": Model(
        # Its 21:9 is not offered upright.
        {**_both_ways(_FIRST), "21:9": (1536, 672)},
        {"1K": 1290},
        takes_size=False,
        references=3,
    ),
    "gemini-3-pro-image": Model(
        {**_both_ways(_LATER), "21:9": (1584, 672)},
        {"1K": 1120, "2K": 1120, "4K": 2000},
        takes_size=True,
        references=14,
    ),
    "gemini-3.1-flash-image": Model(
        _both_ways({**_LATER, "21:9": (1584, 672), **_BANDS}),
        {"512": 747, "1K": 1120, "2K": 1680, "4K": 2520},
        takes_size=True,
        references=14,
    ),
}
"""By name."""
