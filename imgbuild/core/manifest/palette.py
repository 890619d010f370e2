"""Palette files of drawing programs: Lospec's .hex, GIMP's .gpl and JASC's .pal."""

from __future__ import annotations

import re

from imgbuild.core.manifest.output_model import MAX_COLOURS

_HEX = re.compile(r"#?([0-9a-fA-F]{6})")
_NUMBERS = re.compile(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})(\s.*)?")


def parse_palette(text: str, path: str) -> tuple[str, ...]:
    """The colours of a palette file as #rrggbb, each once, in the file's order.

    A .hex file has one colour a line; .gpl has three numbers and a name a line below a header that ends with
    a line beginning with #; .pal has three numbers a line below three lines of header. Raises ValueError.
    """
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    kind = path.rsplit(".", 1)[-1].lower()
    if kind == "hex":
        colours = [_from_hex(line) for line in lines]
    elif kind == "gpl" and lines[:1] == ["GIMP Palette"]:
        rows = [line for line in lines[1:] if not line.startswith(("#", "Name:", "Columns:"))]
        colours = [_from_numbers(line) for line in rows]
    elif kind == "pal" and lines[:2] == ["JASC-PAL", "0100"]:
        colours = [_from_numbers(line) for line in lines[3:]]
    else:
        raise ValueError("is no palette: .hex has a colour a line, .gpl is GIMP's format, .pal is JASC's")
    found = tuple(dict.fromkeys(colours))
    if not 2 <= len(found) <= MAX_COLOURS:
        raise ValueError(f"has {len(found)} colours; a palette has from 2 to {MAX_COLOURS}")
    return found


def _from_hex(line: str) -> str:
    match = _HEX.fullmatch(line)
    if match is None:
        raise ValueError(f"has a line that is no colour: {line[:20]!a}")
    return f"#{match[1].lower()}"


def _from_numbers(line: str) -> str:
    match = _NUMBERS.fullmatch(line)
    if match is None or max(numbers := [int(match[i]) for i in (1, 2, 3)]) > 255:
        raise ValueError(f"has a line that is no colour: {line[:20]!a}")
    return "#{:02x}{:02x}{:02x}".format(*numbers)
