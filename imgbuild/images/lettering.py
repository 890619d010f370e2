"""Text as SVG outlines: set, wrapped and drawn without any installed font.

`glyphs.json` holds advances and outlines derived from the font Inter Medium 3.19 (Latin, Greek, Cyrillic,
punctuation; 1000 units to the em) under the SIL Open Font License: see glyphs-license.txt. A character that
it lacks is left to the system's fonts, and is an empty box where there are none.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from xml.sax.saxutils import escape

from imgbuild.images.vips import pyvips

EM = 1000
CAP_HEIGHT = 0.727
"""Of a capital letter, in em."""
_MAX_CHARS = 2000
_BOLD_STROKE = 44
_BOLD_TRACKING = 22
_NO_LINE_START = frozenset("、。，．！？：；）」』】》〉…ー々")
_BREAK_AFTER = frozenset(" -/,_]=[:;|–—")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One character as read, with its combining marks. `advance` is in units of 1/1000 em."""

    text: str
    advance: int
    outline: str | None
    """SVG path data, or None where a system font must draw it."""

    @property
    def wide(self) -> bool:
        """Chinese, Japanese or Korean: lines may break on either side."""
        return unicodedata.east_asian_width(self.text[0]) in "WF"


Line = tuple[Cluster, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """Wrapped text and its size in pixels. `whole` is false where a word was broken or text left out."""

    size: float
    lines: tuple[Line, ...]
    whole: bool


def clean(text: str) -> str:
    """One line of visible characters: no control, formatting or private ones, no bidirectional overrides."""
    shown = (char if unicodedata.category(char)[0] != "C" else " " for char in text[:_MAX_CHARS])
    return " ".join(unicodedata.normalize("NFC", "".join(shown)).split())


def clusters(text: str, *, bold: bool = False) -> Line:
    """The characters of a cleaned text, measured."""
    extra = _BOLD_TRACKING if bold else 0
    return tuple(_measure(part, extra) for part in _split(text))


def width(line: Sequence[Cluster]) -> int:
    """In units of 1/1000 em."""
    return sum(cluster.advance for cluster in line)


def fit(
    text: str,
    across: float,
    down: float,
    *,
    largest: float,
    smallest: float,
    leading: float,
    bold: bool = False,
) -> Setting:
    """The largest setting of the text that a box of across x down pixels holds without breaking words.

    At the smallest size words are broken and what does not fit gives way to an ellipsis.
    """
    line = clusters(text, bold=bold)
    size = largest
    while size > smallest:
        setting = wrap(line, across, down, size, leading)
        if setting.whole:
            return setting
        size *= 0.94
    return wrap(line, across, down, smallest, leading)


def wrap(line: Line, across: float, down: float, size: float, leading: float) -> Setting:
    """Break a line greedily to a box in pixels, at a fixed size."""
    room = across / size * EM
    most = max(1, int((down / size - CAP_HEIGHT) / leading) + 1)
    lines: list[Line] = []
    whole = True
    rest = line
    while rest:
        end, clean_break = _line_end(rest, room)
        whole = whole and clean_break
        if len(lines) == most - 1 and end < len(rest):
            lines.append(_shorten(rest[:end], room))
            return Setting(size, tuple(lines), whole=False)
        lines.append(_strip(rest[:end]))
        rest = rest[end:]
        while rest and rest[0].text == " ":
            rest = rest[1:]
    return Setting(size, tuple(lines), whole)


def draw(line: Line, x: float, y: float, size: float, fill: str, *, bold: bool = False) -> str:
    """SVG for one line, centred on `x` with its baseline on `y`; lengths in pixels."""
    scale = size / EM
    left = x - width(line) * scale / 2
    stroke = f' stroke="{fill}" stroke-width="{_BOLD_STROKE}" stroke-linejoin="round"' if bold else ""
    weight = ' font-weight="700"' if bold else ""
    parts = [f'<g transform="translate({left:.3f} {y:.3f}) scale({scale:.6f})" fill="{fill}"{stroke}>']
    at, run, run_at = 0, "", 0
    for cluster in (*line, Cluster("", 0, "")):
        if cluster.outline is None:
            run_at = run_at if run else at
            run += cluster.text
        elif run:
            parts.append(
                f'<text x="{run_at}" y="0" font-family="sans-serif" font-size="{EM}" stroke="none"{weight}>'
                f"{escape(run)}</text>"
            )
            run = ""
        if cluster.outline:
            parts.append(f'<path transform="translate({at} 0)" d="{cluster.outline}"/>')
        at += cluster.advance
    return "".join([*parts, "</g>"])


@cache
def _glyphs() -> Mapping[str, tuple[int, str]]:
    text = resources.files("imgbuild.images").joinpath("glyphs.json").read_text(encoding="utf-8")
    return {char: (advance, outline) for char, (advance, outline) in json.loads(text).items()}


def _split(text: str) -> Iterator[str]:
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not unicodedata.combining(text[at]):
            if start < at:
                yield text[start:at]
            start = at


def _measure(part: str, extra: int) -> Cluster:
    known = _glyphs().get(part)
    if known is not None:
        return Cluster(part, known[0] + extra, known[1])
    # Exact for Chinese, Japanese and Korean; a guess for other scripts, whose fonts are not known here.
    advance = EM if unicodedata.east_asian_width(part[0]) in "WF" else 600
    return Cluster(part, advance, None if _has_system_fonts() else _box(advance))


@cache
def _has_system_fonts() -> bool:
    """Whether text can be drawn at all: without any font, every size comes out as the same few pixels."""
    probe = pyvips.Image.text("中", font="sans-serif 100")
    return bool(probe.height > 50)


def _box(advance: int) -> str:
    """An outlined rectangle: here stands a character that cannot be shown."""
    inner = advance - 240
    return f"M80 0v-760h{advance - 160}v760zM120-40h{inner}v-680h-{inner}z"


def _line_end(line: Line, room: float) -> tuple[int, bool]:
    """How many clusters go on the first line, and whether it ends where a line may."""
    used, best = 0, 0
    for at, cluster in enumerate(line):
        used += cluster.advance
        if used > room and cluster.text != " ":
            return (best, True) if best else (max(1, at), False)
        following = line[at + 1] if at + 1 < len(line) else None
        if following is None:
            return len(line), True
        if cluster.text in _BREAK_AFTER or (
            (cluster.wide or following.wide)
            and following.text not in _NO_LINE_START
            and following.text != " "
        ):
            best = at + 1
    return len(line), True


def _between_wide(cluster: Cluster, following: Cluster) -> bool:
    if following.text == " " or following.text in _NO_LINE_START:
        return False
    return cluster.wide or following.wide


def _strip(line: Line) -> Line:
    while line and line[-1].text == " ":
        line = line[:-1]
    return line


def _shorten(line: Line, room: float) -> Line:
    ellipsis = clusters("…")
    while line and width(line) + width(ellipsis) > room:
        line = line[:-1]
    while line and line[-1].text in " ,.;:-、，。":
        line = line[:-1]
    return (*line, *ellipsis)
