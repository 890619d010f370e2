"""From an offset inside a YAML scalar's value to the offset in the file where that character stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PROPERTY = re.compile(r"[&!][^\s,\[\]{}]*")
_SPACE = re.compile(r"(?:\s+|#[^\n\r]*)+")
_NUMBER = re.compile(r"[^\s,\[\]{}]+")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|.)", re.DOTALL)
# Escapes that stand for white space, or, before a line break, for nothing.
_BLANK_ESCAPES = frozenset("tnrfvN_LP \t\r\n")


def content_start(text: str, at: int) -> int:
    """Where the scalar itself begins, behind its anchor and tag."""
    while match := _PROPERTY.match(text, at):
        at = match.end()
        space = _SPACE.match(text, at)
        at = space.end() if space else at
    return at


def place_in_scalar(text: str, at: int, value: str, inside: int) -> int:
    """The offset in `text` of `value[inside]`, `value` being read from the scalar at `at`.

    Folding changes white space only, so the n-th visible character of the value is the n-th visible
    character of the scalar, in every style.
    """
    wanted = sum(not c.isspace() for c in value[:inside])
    last = at = content_start(text, at)
    for offset in _visible(text, at):
        last = offset
        if wanted == 0:
            return offset
        wanted -= 1
    return last


def _visible(text: str, at: int) -> Iterator[int]:
    style = text[at : at + 1]
    if style in ("|", ">"):
        header = text.find("\n", at)
        at = len(text) if header < 0 else header + 1
    elif style in ("'", '"'):
        at += 1
    end = len(text)
    while at < end:
        char = text[at]
        if char == "\\" and style == '"':
            match = _ESCAPE.match(text, at)
            length = len(match[0]) if match else 1
            if match and not _is_blank(match[1]):
                yield at
            at += length
            continue
        if char == "'" and style == "'":
            yield at
            at += 2
            continue
        if not char.isspace():
            yield at
        at += 1


def _is_blank(escape: str) -> bool:
    if escape[0] in "xuU" and len(escape) > 1:
        code = int(escape[1:], 16)
        return code <= 0x10FFFF and chr(code).isspace()
    return escape[0] in _BLANK_ESCAPES


def text_as_written(text: str, at: int, value: bool | int | float | str) -> str:
    """A scalar as its text: `1.0` and `007` keep their zeros."""
    if isinstance(value, str):
        return value
    start = content_start(text, at)
    if text[start : start + 1] in ("'", '"', "|", ">"):
        return str(value)
    found = _NUMBER.match(text, start)
    return found[0] if found else str(value)
