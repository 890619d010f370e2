"""What a browser saw of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Seen:
    """What one visit saw."""

    report: Any
    violations: list[str]
    """What axe-core found, by impact and rule."""
    problems: list[str]
    requests: list[str]
    """Everything but `data:` addresses."""


Look = Callable[[Sequence[Mapping[str, Any]]], list[Seen]]
