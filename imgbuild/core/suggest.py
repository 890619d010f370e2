"""A nearest known word for a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

# Comparing is quadratic in the words' lengths, so what is compared is bounded on both sides.
_MAX_CANDIDATES = 5_000
_MAX_LENGTH = 200


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word`, or None when nothing is near."""
    if len(word) > _MAX_LENGTH:
        return None
    known = [c for c in islice(candidates, _MAX_CANDIDATES) if len(c) <= _MAX_LENGTH]
    by_lower = {c.lower(): c for c in reversed(known)}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """A hint such as `did you mean "prompt"?`, or None when nothing is near."""
    near = closest(word, candidates)
    return f'did you mean "{near}"?' if near is not None else None
