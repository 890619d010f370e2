"""What was spent, in words: a total, small tables, and what nobody can be sure of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from imgbuild.core.spending import Grouping, Sum
from imgbuild.ui.spans import Line, Span, line, table
from imgbuild.ui.values import money

TOP = 10
"""Rows of images in a view of everything."""

ESTIMATED = "amounts are estimates from price tables; what a service itself reported stands beside its name"
_TITLES: Mapping[Grouping, str] = {
    "project": "by project",
    "provider": "by provider",
    "model": "by model",
    "month": "by month (UTC)",
    "image": "by image",
}


def spend_lines(sums: Sequence[Sum], whose: str, *, top: int | None) -> list[tuple[Sum, list[Line]]]:
    """Each sum with the lines that it adds: a table's first sum brings the title, its last what was cut.

    `whose` says who paid, e.g. "by this project". `top` bounds the rows of images.
    """
    parts: list[tuple[Sum, list[Line]]] = []
    for by, members in groupby(sums, key=lambda one: one.by):
        group = tuple(members)
        match by:
            case "total":
                others = any(one.by == "unsettled" for one in sums)
                rows = [[_total(group, whose, others=others)]]
            case "unsettled":
                rows = [[(), _unsettled(group)]]
            case _:
                rows = _rows(group, top if by == "image" else None)
                rows[0] = [(), line(Span(_TITLES[by], "bold")), *rows[0]]
        parts += [(one, rows[at] if at < len(rows) else []) for at, one in enumerate(group)]
    return parts


def _total(totals: Sequence[Sum], whose: str, *, others: bool) -> Line:
    results = sum(one.results for one in totals)
    if not results:
        return line(f"no result was paid for {whose}" if others else f"nothing was paid {whose}")
    unpriced = sum(one.unpriced for one in totals)
    if unpriced == results:
        return line(f"{_results(results)} of unknown price, paid {whose}")
    unknown = f", {_results(unpriced)} of unknown price among them" if unpriced else ""
    return line(Span(f"about {_amounts(totals)}", "bold"), f" for {_results(results)}, paid {whose}{unknown}")


def _unsettled(outcomes: Sequence[Sum]) -> Line:
    count = sum(one.results for one in outcomes)
    unpriced = sum(one.unpriced for one in outcomes)
    amounts = f", about {_amounts(outcomes)}" if unpriced < count else ""
    unknown = f", {unpriced} of unknown price" if unpriced else ""
    what = ", ".join(f"{sum(o.results for o in same)} {name}" for name, same in _by_name(outcomes))
    return line(
        Span("may have been charged without a result", "yellow"), f": {count}{amounts}{unknown} ({what})"
    )


def _by_name(sums: Iterable[Sum]) -> Iterable[tuple[str | None, list[Sum]]]:
    ordered = sorted(sums, key=lambda one: one.name or "")
    return ((name, list(same)) for name, same in groupby(ordered, key=lambda one: one.name))


def _rows(group: Sequence[Sum], top: int | None) -> list[list[Line]]:
    shown = group[:top]
    rows = [[row] for row in table(map(_row, shown))]
    if len(group) > len(shown):
        rest = len(group) - len(shown)
        rows[-1].append(line(Span(f"  and {rest} more: imgbuild spend --by image", "dim")))
    return rows


def _row(one: Sum) -> list[Span]:
    usage = ", ".join(f"{name} {amount:,}" for name, amount in one.usage.items())
    unknown = f", {one.unpriced} of unknown price" if 0 < one.unpriced < one.results else ""
    return [
        Span(f"  {one.name}"),
        Span("price unknown" if one.cost is None else money(one.cost, one.unit or ""), "bold"),
        Span(_results(one.results) + unknown),
        Span(usage, "dim"),
    ]


def _amounts(sums: Sequence[Sum]) -> str:
    """The amounts of each unit, joined: what is in two units is never one number."""
    units = dict.fromkeys(one.unit for one in sums if one.unit is not None)
    totals = {unit: sum(one.cost or 0 for one in sums if one.unit == unit) for unit in units}
    return " and ".join(money(amount, unit) for unit, amount in totals.items())


def _results(count: int) -> str:
    return "1 result" if count == 1 else f"{count:,} results"
