"""What a benchmark has found: a table, the budget it belongs to, and whether that is met."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"[<>≤≥~ ]*[-+]?[\d.,]+( ?[%\w/]{1,4})?|-|")
"""A cell that is aligned to the right: a number with or without a short unit, or nothing to say."""


@dataclass(frozen=True, slots=True)
class Table:
    """One budget and what was measured for it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    budget: str
    """The budget in words, e.g. "at most 2x `python -c pass`"."""
    met: bool | None
    """None: could not be judged, e.g. because the peer is not installed or the run was a small one."""
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One word on the budget."""
        return {True: "met", False: "missed", None: "not judged"}[self.met]

    def text(self) -> str:
        """The table for a terminal."""
        widths = self._widths()
        lines = [self.title, "=" * len(self.title), self._line(self.columns, widths).rstrip()]
        lines.append("  ".join("-" * width for width in widths))
        lines += [self._line(row, widths).rstrip() for row in self.rows]
        lines += ["", f"budget: {self.budget}: {self.verdict}"]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def markdown(self) -> str:
        """The table as a section of a page."""
        rule = "|".join("---:" if self._numeric(number) else "---" for number in range(len(self.columns)))
        lines = [f"## {self.title}", "", f"| {' | '.join(self.columns)} |", f"|{rule}|"]
        lines += [f"| {' | '.join(row)} |".replace("\n", " ") for row in self.rows]
        lines += ["", f"Budget: {self.budget}: **{self.verdict}**."]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def _line(self, cells: tuple[str, ...], widths: list[int]) -> str:
        return "  ".join(
            cell.rjust(width) if self._numeric(number) else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

    def _numeric(self, number: int) -> bool:
        """Whether a column holds numbers: then it is aligned to the right, its heading too."""
        cells = [row[number] for row in self.rows]
        return any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)


def ratio(value: float | None) -> str:
    """A ratio as tables show it, e.g. "1.37x"; "-" where there was nothing to compare with."""
    return "-" if value is None else f"{value:.2f}x" if value < 100 else f"{value:.0f}x"


def seconds(value: float) -> str:
    """A duration in seconds, three digits that count."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def megabytes(value: float) -> str:
    """Memory in megabytes."""
    return f"{value:.0f}"
