"""What a template's text is made of: stretches that the engine has something to do with, and plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_RENDERED = 1024 * 1024
"""Characters of a text, before and after it is rendered."""
TAG = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)", re.DOTALL)
_OPENING = re.compile(r"\{[{%#]")
# A tag that ends where its first }} is, and takes no white space from around it.
_PLAIN_TAG = re.compile(r"\{\{(?![-+])[^{}'\"]*(?<![-+])\}\}")
_NAME_TAG = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}", re.ASCII)
_WORDS = frozenset({"true", "false", "none", "self", "not"})
"""What is no variable's name to the engine, in small letters."""


class TemplateFailure(ValueError):
    """A template that cannot be rendered: what, at which offset of which text."""

    def __init__(
        self, message: str, offset: int, *, name: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.name = name
        """The path of the included file that is meant; None for the text itself."""
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a text for the engine. `needs` are the names that it reads."""

    text: str
    needs: frozenset[str]
    needs_all: bool = False
    """It includes a file whose name is not known before it is rendered."""
    includes: bool = False
    """It includes files at all."""


def named(text: str) -> str:
    """The name that is all of a tag, as in `{{ item }}`; empty for anything else."""
    tag = _NAME_TAG.fullmatch(text)
    return tag[1] if tag and tag[1].lower() not in _WORDS else ""


def stretches(text: str) -> list[tuple[int, int]]:
    """Where the engine has something to do: the tags one by one, where they stand for themselves; all of
    it where there are statements, comments, strings with braces, or white space to be trimmed."""
    whole = [(0, len(text))]
    # The engine reads every kind of line break as a line feed.
    if "\r" in text:
        return whole
    tags: list[tuple[int, int]] = []
    opening = _OPENING.search(text)
    while opening:
        tag = _PLAIN_TAG.match(text, opening.start())
        if tag is None:
            return whole
        tags.append(tag.span())
        opening = _OPENING.search(text, tag.end())
    return tags
