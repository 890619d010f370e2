"""What was paid, added up: by provider, model, month, image and project, never across currency units."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from imgbuild.core.jobs import OpenJob
from imgbuild.core.results import STORED, Payment, is_amount

Grouping = Literal["total", "project", "provider", "model", "month", "image", "unsettled"]
"""`unsettled` is what may have been charged without a result, by what became of it; all else is paid."""

NO_MODEL = "its default"
UNDATED = "undated"


@dataclass(frozen=True, slots=True)
class Sum:
    """The payments of one group that are in one unit. Those of unknown price count in its largest unit."""

    by: Grouping
    name: str | None
    """The provider's type, the model, "YYYY-MM", the image's id, the folder or the outcome; None in total."""
    cost: float | None
    """In `unit`, estimated; None when no price is known."""
    unit: str | None
    results: int
    """How many payments; for `unsettled`, submissions."""
    unpriced: int
    """How many of them have no known price."""
    usage: Mapping[str, float] = field(default_factory=dict)
    """What the service reported, added up. Only by provider: names mean different things elsewhere."""


def charge_of(job: OpenJob, outcome: str, takes: int | None = None) -> Payment:
    """What a submission may have cost for `takes` of its takes, all unless told, that gave no result.

    `outcome` is what became of them: "refused", "unusable", "unknown", ...
    """
    model = job.draft.get("model")
    share = 1.0 if takes is None or not job.takes else takes / len(job.takes)
    cost = job.cost if is_amount(job.cost) and job.unit is not None else None
    return Payment(
        id=job.id,
        image_id=job.image_id,
        project=job.project,
        provider=job.provider,
        model=model if isinstance(model, str) else None,
        created=job.since,
        cost=None if cost is None else cost * share,
        unit=None if cost is None else job.unit,
        outcome=outcome,
        job=job.id,
    )


def spent(payments: Iterable[Payment], groupings: Sequence[Grouping]) -> tuple[Sum, ...]:
    """The sums of each grouping, in that order: the dearest first, months as they come.

    A total is there even if nothing was paid; of the others, groups that have a payment.
    """
    everything = tuple(payments)
    return tuple(one for by in groupings for one in _grouped(by, everything))


def paid_on(payment: Payment) -> date | None:
    """The day of a payment in UTC; None when its time cannot be read."""
    try:
        moment = datetime.fromisoformat(payment.created)
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError):
        return None


def _grouped(by: Grouping, payments: Iterable[Payment]) -> list[Sum]:
    groups: dict[str | None, list[Payment]] = defaultdict(list)
    if by == "total":
        groups[None] = []
    for payment in payments:
        if (payment.outcome == STORED) != (by == "unsettled"):
            groups[_name(by, payment)].append(payment)
    sums = [one for name, members in groups.items() for one in _in_units(by, name, members)]
    if by == "total":
        return sorted(sums, key=lambda one: (-one.results, one.unit or ""))
    if by == "month":
        return sorted(sums, key=lambda one: (one.name or "", one.unit or ""))
    return sorted(sums, key=lambda one: (one.unit is None, one.unit or "", -(one.cost or 0), one.name or ""))


def _name(by: Grouping, payment: Payment) -> str | None:
    match by:
        case "project":
            return payment.project
        case "provider":
            return payment.provider
        case "model":
            return payment.model or NO_MODEL
        case "month":
            day = paid_on(payment)
            return UNDATED if day is None else day.isoformat()[:7]
        case "image":
            return payment.image_id
        case "unsettled":
            return payment.outcome
        case "total":
            return None


def _in_units(by: Grouping, name: str | None, payments: Sequence[Payment]) -> list[Sum]:
    counts = Counter(unit for unit in map(_unit, payments) if unit is not None)
    # The most frequent unit, and of equally frequent ones the first by name, whatever the order.
    largest = min(counts, key=lambda unit: (-counts[unit], unit), default=None)
    parts: dict[str | None, list[Payment]] = {unit: [] for unit in sorted(counts)} or {None: []}
    for payment in payments:
        parts[_unit(payment) or largest].append(payment)
    return [_sum(by, name, unit, members) for unit, members in parts.items()]


def _unit(payment: Payment) -> str | None:
    return None if payment.cost is None else payment.unit


def _sum(by: Grouping, name: str | None, unit: str | None, payments: Sequence[Payment]) -> Sum:
    priced = [payment.cost for payment in payments if payment.cost is not None and payment.unit is not None]
    known = bool(priced) or not payments
    return Sum(
        by,
        name,
        round(math.fsum(priced), 6) if known else None,
        unit,
        len(payments),
        len(payments) - len(priced),
        _usage(payments) if by == "provider" else {},
    )


def _usage(payments: Iterable[Payment]) -> dict[str, float]:
    """The numbers of each submission once, however many results it gave."""
    submissions = {payment.job or payment.id: payment.usage for payment in payments}
    totals: dict[str, float] = defaultdict(int)
    for usage in submissions.values():
        for name, amount in usage.items():
            totals[name] += amount
    return {name: round(totals[name], 6) for name in sorted(totals)}
