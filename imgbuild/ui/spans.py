"""Lines of styled text, and the one place that turns them into characters for a terminal or a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from imgbuild.core.redact import escape

Style = Literal["", "bold", "dim", "red", "green", "yellow", "blue", "magenta", "cyan", "bold red"]

_SGR: dict[Style, str] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold red": "1;31",
}


class Span(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: Style = ""


Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """A line of plain texts and styled pieces."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def render(spans: Line, *, colour: bool) -> str:
    """One line of output. Texts come from anywhere: control characters are written out here, always."""
    pieces: list[str] = []
    for text, style in spans:
        shown = escape(text)
        pieces.append(f"\x1b[{_SGR[style]}m{shown}\x1b[0m" if colour and style and shown else shown)
    return "".join(pieces).rstrip()


def cells(text: str) -> int:
    """Columns that a text takes on a terminal: East Asian wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def clip(text: str, width: int) -> str:
    """`text` in at most `width` columns; what is cut off is shown as an ellipsis."""
    if cells(text) <= width:
        return text
    kept: list[str] = []
    used = 1
    for character in text:
        used += _cells(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def pad(text: str, width: int) -> str:
    """`text` followed by as many spaces as it lacks."""
    return text + " " * (width - cells(text))


def table(rows: Iterable[Sequence[Span]], *, gap: int = 2) -> list[Line]:
    """Rows with aligned columns; the last cell of a row is left as it is."""
    escaped = [[Span(escape(cell.text), cell.style) for cell in row] for row in rows]
    widths: list[int] = []
    for row in escaped:
        for column, cell in enumerate(row[:-1]):
            if column == len(widths):
                widths.append(0)
            widths[column] = max(widths[column], cells(cell.text))
    return [
        (*(Span(pad(cell.text, widths[i] + gap), cell.style) for i, cell in enumerate(row[:-1])), *row[-1:])
        for row in escaped
    ]


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
