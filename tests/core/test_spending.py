"""The laws of the bill: every payment once in every table, units apart, whatever the order."""

from __future__ import annotations

import math
import random
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.core.jobs import OpenJob, Stage
from imgbuild.core.results import Payment
from imgbuild.core.spending import Grouping, Sum, charge_of, paid_on, spent

TABLES: tuple[Grouping, ...] = ("total", "project", "provider", "model", "month", "image")


def a_payment(id: str = "1", **fields) -> Payment:
    values = {
        "image_id": "hero",
        "project": "/site",
        "provider": "uniall",
        "model": "m",
        "created": "2026-11-21T10:00:00+00:00",
        "cost": 0.04,
        "unit": "USD",
    }
    return Payment(id=id, **values | fields)


payments = st.lists(
    st.builds(
        a_payment,
        id=st.uuids().map(str),
        image_id=st.sampled_from("abc"),
        project=st.sampled_from("pq"),
        provider=st.sampled_from("xy"),
        model=st.sampled_from([None, "m", "n"]),
        created=st.datetimes().map(str) | st.sampled_from(["", "now", "0001-01-01T00:00:00+14:00"]),
        cost=st.none() | st.floats(0, 1e6),
        unit=st.none() | st.sampled_from(["USD", "points"]),
        usage=st.dictionaries(st.sampled_from(["tokens", "units"]), st.integers(0, 10**6)),
        outcome=st.sampled_from(["stored", "stored", "refused", "unknown"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(payments=payments, random_seed=st.integers())
def test_every_table_adds_up_to_the_same_bill(payments: list[Payment], random_seed: int) -> None:
    stored = [one for one in payments if one.outcome == "stored"]
    costs: dict[str, list[float]] = {}
    for one in stored:
        if one.cost is not None and one.unit is not None:
            costs.setdefault(one.unit, []).append(one.cost)
    sums = spent(payments, TABLES)
    for by in TABLES:
        table = [one for one in sums if one.by == by]
        assert sum(one.results for one in table) == len(stored)
        assert sum(one.unpriced for one in table) == len(stored) - sum(map(len, costs.values()))
        for unit, amounts in costs.items():
            paid = [one.cost for one in table if one.unit == unit and one.cost is not None]
            assert math.isclose(sum(paid), sum(amounts), abs_tol=1e-4)
        assert len({(one.name, one.unit) for one in table}) == len(table)
    assert sum(one.results for one in spent(payments, ["unsettled"])) == len(payments) - len(stored)
    shuffled = list(payments)
    random.Random(random_seed).shuffle(shuffled)
    assert spent(shuffled, TABLES) == sums


def test_nothing_paid_is_a_total_of_nothing() -> None:
    assert spent([], [*TABLES, "unsettled"]) == (Sum("total", None, 0.0, None, 0, 0),)


def test_units_are_never_added_up_and_unknown_prices_are_counted_with_the_larger_one() -> None:
    mixed = [
        a_payment("1"),
        a_payment("2", cost=8, unit="points"),
        a_payment("3", cost=8, unit="points"),
        a_payment("4", cost=None, unit=None),
    ]
    assert spent(mixed, ["total"]) == (
        Sum("total", None, 16.0, "points", 3, 1),
        Sum("total", None, 0.04, "USD", 1, 0),
    )
    assert spent(mixed[3:], ["total"]) == (Sum("total", None, None, None, 1, 1),)


def test_small_amounts_add_up_without_crumbs() -> None:
    assert spent([a_payment(str(n), cost=0.1) for n in range(3)], ["total"])[0].cost == 0.3


def test_what_was_dear_comes_first_and_months_in_their_order() -> None:
    many = [
        a_payment("1", image_id="cheap", created="2026-11-30T23:30:00-01:00"),
        a_payment("2", image_id="dear", cost=1.5, created="2026-11-30T23:30:00Z"),
        a_payment("3", image_id="free of price", cost=None, created="once"),
    ]
    assert [one.name for one in spent(many, ["image"])] == ["dear", "cheap", "free of price"]
    assert [one.name for one in spent(many, ["month"])] == ["2026-11", "2026-12", "undated"]


def test_what_a_service_reported_is_added_up_once_for_each_submission() -> None:
    usage = {"total_tokens": 100, "seconds": 0.5}
    takes = [a_payment(str(n), usage=usage, job="job1") for n in range(3)]
    (provider,) = spent([*takes, a_payment("4", usage=usage), a_payment("5")], ["provider"])
    assert (provider.results, provider.usage) == (5, {"seconds": 1.0, "total_tokens": 200})


def test_what_may_have_been_charged_stands_apart() -> None:
    sums = spent([a_payment("1"), a_payment("2", outcome="refused")], ["total", "provider", "unsettled"])
    assert [(one.by, one.name, one.results) for one in sums] == [
        ("total", None, 1),
        ("provider", "uniall", 1),
        ("unsettled", "refused", 1),
    ]


@pytest.mark.parametrize(
    ("created", "day"),
    [
        ("2026-11-21T10:00:00+00:00", date(2026, 11, 21)),
        ("2026-11-21T10:00:00Z", date(2026, 11, 21)),
        ("2026-11-21T00:30:00+02:00", date(2026, 11, 20)),
        ("2026-11-21T10:00:00", date(2026, 11, 21)),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        ("", None),
    ],
)
def test_days_are_those_of_utc(created: str, day: date | None) -> None:
    assert paid_on(a_payment(created=created)) == day


@pytest.mark.parametrize(
    ("cost", "unit", "takes", "expected"),
    [
        (0.06, "USD", None, (0.06, "USD")),
        (0.06, "USD", 1, (0.02, "USD")),
        (None, "USD", None, (None, None)),
        (math.nan, "USD", None, (None, None)),
        (0.06, None, None, (None, None)),
    ],
)
def test_a_submission_without_a_result_is_a_charge_under_its_own_id(cost, unit, takes, expected) -> None:
    job = OpenJob(
        "job1", "k", (1, 2, 3), Stage.UNKNOWN, "uniall", "http://a", "hero", "/site", "2026-11-21T10:00:00Z",
        cost=cost, unit=unit, draft={"model": "m"},
    )  # fmt: skip
    charge = charge_of(job, "unusable", takes)
    assert (charge.id, charge.job, charge.model, charge.outcome) == ("job1", "job1", "m", "unusable")
    assert (None if charge.cost is None else round(charge.cost, 9), charge.unit) == expected
