"""Pointers into a service's JSON: `data.task_id`, `data[0].url`, `results[*].url`."""

from __future__ import annotations

import re

Step = str | int | None
"""A member's name, an item's index from 0, or None for every item."""
Pointer = tuple[Step, ...]

_STEP = re.compile(r"""\.?([^.\[\]\s"'*$]+)|\[([0-9]{1,4}|\*)\]""")


def parse_pointer(text: str) -> Pointer:
    """Names with dots between them, indexes in brackets, `[*]` for every item. Raises ValueError."""
    steps: list[Step] = []
    position = 0
    while match := _STEP.match(text, position):
        # A dot joins a name to what is before it: there is none at the start, and one between two names.
        if match[1] is not None and (text[position] == ".") is (position == 0):
            break
        steps.append(match[1] or (None if match[2] == "*" else int(match[2])))
        position = match.end()
    if not steps or position < len(text):
        raise ValueError("is no pointer; write data.task_id, data[0].url or results[*].url")
    return tuple(steps)
