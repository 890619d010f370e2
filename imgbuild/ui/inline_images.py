"""Pictures on a terminal: which protocol it speaks, as far as its environment tells, and the bytes to send.

kitty: https://sw.kovidgoyal.net/kitty/graphics-protocol/ (2026-11). iTerm2:
https://iterm2.com/documentation-images.html. Sixel: DEC VT340 Programmer Reference Manual, chapter 14.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Literal

Protocol = Literal["kitty", "iterm2", "sixel"]

_CHUNK = 4096
"""Characters of base64 in one of kitty's escape sequences, at most."""
_LEVELS = 6
"""Steps of red, green and blue in a sixel palette: 216 colours of the 256 that terminals have."""
_ITERM2 = frozenset({"iTerm.app", "WezTerm", "mintty"})
_SIXEL = frozenset({"foot", "foot-extra", "mlterm", "contour", "yaft-256color"})


def protocol(environ: Mapping[str, str]) -> Protocol | None:
    """How this terminal shows pictures; None where it cannot, or nobody knows.

    tmux and screen pass none of these on unless they are told to.
    """
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if environ.get("TMUX") or environ.get("STY") or term.startswith(("tmux", "screen")):
        return None
    if environ.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if program in _ITERM2 or environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    if term in _SIXEL or "sixel" in term or environ.get("WT_SESSION"):
        return "sixel"
    return None


def kitty(png: bytes) -> str:
    """A PNG for kitty's graphics protocol, shown at the cursor."""
    data = base64.b64encode(png).decode()
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    parts: list[str] = []
    for number, chunk in enumerate(chunks, 1):
        more = int(number < len(chunks))
        control = f"a=T,f=100,q=2,m={more}" if number == 1 else f"m={more}"
        parts.append(f"\x1b_G{control};{chunk}\x1b\\")
    return "".join(parts)


def iterm2(png: bytes) -> str:
    """A PNG for iTerm2's inline images."""
    data = base64.b64encode(png).decode()
    return f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{data}\a"


def sixel(width: int, height: int, rgb: bytes) -> str:
    """Pixels, three bytes each, as sixels in a palette of 216 fixed colours."""
    indexes = [_index(*rgb[at : at + 3]) for at in range(0, 3 * width * height, 3)]
    used = sorted(set(indexes))
    palette = "".join(f"#{index};2;{';'.join(map(str, _percent(index)))}" for index in used)
    rows = [indexes[y * width : (y + 1) * width] for y in range(height)]
    bands = "-".join("$".join(_band(rows[y : y + 6])) for y in range(0, height, 6))
    return f'\x1bPq"1;1;{width};{height}{palette}{bands}\x1b\\'


def _index(red: int, green: int, blue: int) -> int:
    step = 255 / (_LEVELS - 1)
    return (round(red / step) * _LEVELS + round(green / step)) * _LEVELS + round(blue / step)


def _percent(index: int) -> tuple[int, int, int]:
    """A colour's parts as sixels count them, from 0 to 100."""
    step = 100 // (_LEVELS - 1)
    return (index // _LEVELS**2 * step, index // _LEVELS % _LEVELS * step, index % _LEVELS * step)


def _band(rows: list[list[int]]) -> Iterator[str]:
    """Six rows of pixels, one colour after the other, runs of equal columns counted."""
    for colour in sorted({index for row in rows for index in row}):
        columns = (
            chr(63 + sum((index == colour) << bit for bit, index in enumerate(column)))
            for column in zip(*rows, strict=True)
        )
        runs = ((sign, len(list(run))) for sign, run in groupby(columns))
        yield f"#{colour}" + "".join(f"!{count}{sign}" if count > 3 else sign * count for sign, count in runs)
