"""The text of a matrix or foreach value, with its name in ids."""

from __future__ import annotations

import re

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\[\]]|^\s|\s$|^$")
_MAX = 200


class Label(str):
    """A value as templates see it: `tone` is its text, `tone.key` its name in ids."""

    __slots__ = ("key",)
    key: str

    def __new__(cls, text: str, key: str) -> Label:
        """A text and its key."""
        self = super().__new__(cls, text)
        self.key = key
        return self

    @property
    def id(self) -> str:
        """The key, as a foreach item's `id`."""
        return self.key

    @property
    def slug(self) -> str:
        """The key, as a foreach item's `slug`."""
        return self.key


def unfit_for_id(text: str) -> str | None:
    """Why a text cannot stand in an id's brackets, or None."""
    if not text:
        return "is empty"
    if len(text) > _MAX:
        return f"is longer than {_MAX} characters"
    if _UNFIT.search(text):
        return "has brackets, control characters or outer spaces, which cannot stand in an id"
    return None
