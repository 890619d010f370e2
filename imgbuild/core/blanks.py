"""Requests with blanks: JSON in whose texts `{{ prompt }}` and the like stand for one image's fields.

No template language: a name, nothing else, is put in when a request is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from imgbuild.core.image import Json
from imgbuild.core.suggest import did_you_mean

Values = Mapping[str, Json]
"""What stands in the blanks. A name that is missing, or null, is not set."""

LISTS = ("references", "references_base64")
NAMES = (
    *("prompt", "model", "negative_prompt"),
    *("size", "width", "height", "ratio", "ratio_width", "ratio_height", "resolution"),
    *("quality", "background", "format", "seed", "n"),
    *(*LISTS, "reference", "reference_base64", "mask", "mask_base64"),
)
"""What an image can say to a service. `params.NAME` is one member of its `params`."""

_BLANK = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)?)[ \t]*\}\}")
_BRACES = re.compile(r"\{\{|\}\}|\{%|%\}")


def check_text(text: str, known: tuple[str, ...] = NAMES) -> None:
    """Raise ValueError for blanks that are malformed, unknown, or lists amid a text."""
    rest = _BLANK.sub("", text)
    if _BRACES.search(rest):
        raise ValueError("only {{ name }} can stand here, with the name of one field")
    for name in names_of(text):
        if name not in known and not (name.startswith("params.") and "prompt" in known):
            remedy = did_you_mean(name, known) or f"known: {', '.join(known)}"
            raise ValueError(f'there is no "{name}" to fill in; {remedy}')
        if name in LISTS and not _BLANK.fullmatch(text):
            raise ValueError(f"{{{{ {name} }}}} is a list, and must stand alone")


def names_of(text: str) -> list[str]:
    """The names of a text's blanks."""
    return _BLANK.findall(text)


def names_in(value: Json) -> frozenset[str]:
    """The names of all blanks in a JSON value."""
    return frozenset(name for text in _texts(value) for name in names_of(text))


def fill(value: Json, values: Values) -> Json:
    """The value with its blanks filled in; None when nothing is left.

    A text that is nothing but a blank takes the value's own type. What refers to something that is not
    set is left out, and so is an object or a list of which nothing is left.
    """
    if isinstance(value, str):
        return _filled(value, values)
    if isinstance(value, dict):
        members = {name: fill(member, values) for name, member in value.items()}
        kept = {name: member for name, member in members.items() if member is not None or value[name] is None}
        return kept if kept or not value else None
    if isinstance(value, list):
        items = [(fill(item, values), item) for item in value]
        left = [filled for filled, item in items if filled is not None or item is None]
        return left if left or not value else None
    return value


def without(value: Mapping[str, Json], names: frozenset[str]) -> dict[str, Json]:
    """The members that refer to none of `names`."""
    return {name: member for name, member in value.items() if names_in(member).isdisjoint(names)}


def _filled(text: str, values: Values) -> Json:
    alone = _BLANK.fullmatch(text)
    if alone:
        return values.get(alone[1])
    if any(values.get(name) is None for name in names_of(text)):
        return None
    return _BLANK.sub(lambda match: _as_text(values[match[1]]), text)


def _as_text(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _texts(member)
