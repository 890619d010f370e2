"""Encoder options: which of them each file format takes, and what is wrong with those that were written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from imgbuild.core.image import Json

Flag = type[bool]
ENCODER_OPTIONS: Mapping[str, Mapping[str, range | Flag]] = MappingProxyType(
    {
        "png": {},
        "jpeg": {"progressive": bool, "quality": range(1, 101)},
        "webp": {"effort": range(7), "lossless": bool, "quality": range(1, 101)},
        "avif": {"effort": range(10), "lossless": bool, "quality": range(1, 101)},
    }
)
"""What each format takes: whole numbers in a range, or true and false.

`quality` and `effort` are the encoders' own scales: JPEG's and WebP's quality 90 and AVIF's 65 look alike.
PNG takes none: it is lossless, and the compression that pays is always used.
"""


def option_problem(format: str, options: Mapping[str, Json]) -> str | None:
    """A sentence that says what is wrong with the options of a format; None if they can be used.

    Pure, so that a manifest can be checked without loading libvips.
    """
    allowed = ENCODER_OPTIONS.get(format)
    if allowed is None:
        return f'cannot write "{format}": use one of {_listed(tuple(ENCODER_OPTIONS))}'
    for name, value in options.items():
        if name not in allowed:
            takes = f"it takes {_listed(tuple(allowed))}" if allowed else "it takes no options"
            return f'{format} has no encoder option "{name}": {takes}'
        kind = allowed[name]
        if isinstance(kind, range):
            if isinstance(value, bool) or not isinstance(value, int) or value not in kind:
                return (
                    f"{name} of {format} must be a whole number from {kind[0]} to {kind[-1]}, not {value!r}"
                )
        elif not isinstance(value, bool):
            return f"{name} of {format} must be true or false, not {value!r}"
    return None


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)
