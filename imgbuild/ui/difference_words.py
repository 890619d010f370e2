"""Differences in words: what changed since a revision, image by image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from imgbuild.core.difference import Difference, OutputDifference
from imgbuild.core.lock import LockedOutput
from imgbuild.ui.spans import Line, Span, line
from imgbuild.ui.values import both_shown, size_in_bytes

_SIGNS: Mapping[str, Span] = {
    "added": Span("+", "green"),
    "removed": Span("-", "red"),
    "changed": Span("~", "yellow"),
}
_VALUE_WIDTH = 56


def difference_lines(difference: Difference) -> list[Line]:
    """What happened to one image, and the fields and files behind it."""
    head = line(_SIGNS[difference.change], " ", Span(difference.id, "bold"), "  ", difference.change)
    lines = [head]
    for reason in difference.reasons:
        old, new = both_shown(reason.old, reason.new, _VALUE_WIDTH)
        lines.append(line("    ", Span(reason.field, "cyan"), ": ", old, Span(" -> ", "dim"), new))
    return [*lines, *(_output(output) for output in difference.outputs)]


def difference_sum(differences: Sequence[Difference], revision: str) -> Line:
    """The last line: "1 added, 2 changed since HEAD (1a2b3c4)"."""
    counts = Counter(one.change for one in differences)
    parts = [f"{counts[change]} {change}" for change in ("added", "changed", "removed") if counts[change]]
    return line(f"{', '.join(parts) or 'no image has changed'} since {revision}")


def _output(output: OutputDifference) -> Line:
    path = Span(output.path)
    if output.old is None or output.new is None:
        there = output.new or output.old
        sign = "+" if output.old is None else "-"
        return line("    ", sign, " ", path, Span(f"  {_size(there)}" if there else "", "dim"))
    return line("    ", path, Span(f"  {_size(output.old)} -> {_size(output.new)}", "dim"))


def _size(output: LockedOutput) -> str:
    return f"{output.width}x{output.height}, {size_in_bytes(output.bytes)}"
