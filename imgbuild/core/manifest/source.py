"""A text with its file name: offsets to positions and source lines."""

from __future__ import annotations

import re
from bisect import bisect_right

from imgbuild.core.errors import Position

_BREAK = re.compile(r"\r\n|\n|\r")
_MAX_LINE = 2_000
# A source line is shown beside an error, and a line that holds a key must not show it, however the
# key's name is spelt; a ${NAME} is no secret, nor is a key colour.
_SECRET = re.compile(
    r"""((?:key|token|secret|passw\w*|auth\w*|credential\w*)["']?\s*:\s*)"""
    r"""(?!\s*["']?\$\{|#[0-9a-fA-F]{6}(?![\w#]))("[^"]*"?|'[^']*'?|[^\s,}][^,}]*)""",
    re.IGNORECASE,
)


class Source:
    """One file's text. Offsets are in characters, from 0; a byte order mark is not part of it."""

    __slots__ = ("_hidden", "_starts", "file", "text")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text.removeprefix("\ufeff")
        self._starts: list[int] | None = None
        self._hidden: set[str] = set()

    def hide(self, text: str) -> None:
        """Never show `text` in a line: it may be a secret."""
        self._hidden.update(part for part in text.split() if len(part) > 1)

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = [0, *(m.end() for m in _BREAK.finditer(self.text))]
        return self._starts

    def position(self, offset: int) -> Position:
        """Line and column of a character; the end of the text stands at its last line's end."""
        starts = self._line_starts()
        offset = max(0, min(offset, len(self.text)))
        line = bisect_right(starts, offset)
        return Position(self.file, line, offset - starts[line - 1] + 1)

    def offset(self, line: int, column: int) -> int:
        """The character at a line and column, both from 1."""
        starts = self._line_starts()
        return starts[max(0, min(line, len(starts)) - 1)] + column - 1

    def line(self, number: int) -> str:
        """The text of a line, from 1, without its break; values that look secret are starred out."""
        starts = self._line_starts()
        start = starts[number - 1]
        end = min(len(self.text), start + _MAX_LINE)
        found = _BREAK.search(self.text, start, end)
        shown = _SECRET.sub(r"\1***", self.text[start : found.start() if found else end])
        for secret in sorted(self._hidden, key=len, reverse=True):
            shown = shown.replace(secret, "***")
        return shown


def decode(data: bytes) -> str:
    """Text of a file's bytes: UTF-8, or UTF-16 with a byte order mark. Raises UnicodeDecodeError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    return data.decode("utf-8")
