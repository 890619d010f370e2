"""Values in words: prices, times, and what a field was and is now."""

from __future__ import annotations

import json
from itertools import takewhile

from imgbuild.core.image import Json
from imgbuild.ui.spans import Span, cells, clip

_WORD = 12
"""Characters by which a cut is moved to keep a word whole."""


def money(amount: float, unit: str) -> str:
    """An amount with its unit; small prices keep the digits that matter."""
    if amount == int(amount) and unit != "USD":
        return f"{int(amount)} {unit}"
    digits = f"{amount:.4f}".rstrip("0") if amount < 1 else f"{amount:.2f}"
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')} {unit}"


def duration(seconds: float) -> str:
    """A time for people: "0.3 s", "12.3 s", "2 min 5 s"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(seconds: float) -> str:
    """A running time: "0:07", "12:05", "1:00:00"."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shown(value: Json) -> str:
    """A value as a reader would write it: texts quoted, long digests short, nothing as "not set"."""
    if value is None:
        return "not set"
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    if isinstance(value, str):
        if len(value) == 64 and all(c in "0123456789abcdef" for c in value):
            return f"{value[:12]}…"
        return json.dumps(value, ensure_ascii=False) if set(value) & set(" \n\"',") or not value else value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def both_shown(old: Json, new: Json, width: int) -> tuple[Span, Span]:
    """Both values; of two long texts only the part that differs, with a little on either side."""
    before, after = shown(old), shown(new)
    if max(cells(before), cells(after)) > width and isinstance(old, str) and isinstance(new, str):
        before, after = _difference(before, after, width)
    return Span(clip(before, width), "red"), Span(clip(after, width), "green")


def _difference(old: str, new: str, width: int) -> tuple[str, str]:
    """Two texts without what they begin and end with alike, but for a few words around the change."""
    context = width // 4
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    start = _word_start(old, max(head - context, 0))
    return _cut(old, start, len(old) - tail + context), _cut(new, start, len(new) - tail + context)


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _word_start(text: str, at: int) -> int:
    space = text.rfind(" ", 0, at + 1)
    return space + 1 if at > 0 and space >= 0 and at - space <= _WORD else at


def _cut(text: str, start: int, end: int) -> str:
    """A piece of `text`, which ends with a whole word where one ends near by."""
    if end < len(text):
        space = text.rfind(" ", max(start, end - _WORD), end + 1)
        end = space if space > start else end
    return ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")


def size_in_bytes(count: int) -> str:
    """A number of bytes for people: "512 B", "48.2 kB", "1.3 GB"."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def age(seconds: float) -> str:
    """How old something is, roughly: "3 days", "5 h", "2 min"."""
    for size, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{max(int(seconds), 0)} s"
