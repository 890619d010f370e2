"""Money that is spent stays spent: what was paid is recorded beside the results, and outlives them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from store_samples import a_result, keep_result, sha
from test_store_poison import poison

from imgbuild.core.results import Payment, payment_of
from imgbuild.store.cache import open_cache
from imgbuild.store.encoding import dump, to_json
from imgbuild.store.records import Records

PAID = {"project": "/home/ada/site", "provider": "uniall", "model": "m", "cost": 0.04, "unit": "USD"}


def a_payment(id: str = "job1", **fields) -> Payment:
    values = {
        "image_id": "hero",
        "project": "/home/ada/site",
        "provider": "uniall",
        "model": "m",
        "created": "2026-01-02T03:04:05+00:00",
        "cost": 0.04,
        "unit": "USD",
        "outcome": "refused",
    }
    return Payment(id=id, **values | fields)


def test_a_result_that_a_project_paid_for_is_a_payment(tmp_path: Path) -> None:
    records = Records(tmp_path)
    usage = {"total_tokens": 12, "seconds": 1.5, "details": {"a": 1}, "model": "m", "cached": True, "n": None}
    result = a_result(sha("a"), usage=usage, **PAID)
    records.put_result(result)

    (payment,) = records.all_payments()

    assert payment == Payment(
        id=f"{result.key}.1.2026-01-02T03:04:05Z",
        image_id="hero",
        project="/home/ada/site",
        provider="uniall",
        model="m",
        created="2026-01-02T03:04:05Z",
        cost=0.04,
        unit="USD",
        usage={"total_tokens": 12, "seconds": 1.5},
        outcome="stored",
    )


def test_what_was_free_or_came_from_elsewhere_is_none(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.put_result(a_result(sha("a")))

    assert records.all_payments() == ()
    assert payment_of(a_result(sha("a"), cost=0.04, unit="USD")) is None


@pytest.mark.parametrize("price", [{"cost": 1e300, "unit": "USD"}, {"cost": 0.04}, {"unit": "USD"}, {}])
def test_a_price_that_means_nothing_is_unknown(price: dict[str, object]) -> None:
    payment = payment_of(a_result(sha("a"), project="/p", **price))

    assert payment is not None
    assert (payment.cost, payment.unit) == (None, None)


def test_recording_a_result_again_pays_nothing(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture", **PAID)
    cache.note(replace(result, declared=(sha("size"),)))
    cache.records.put_result(replace(result, image_id="renamed"))

    assert cache.records.all_payments() == (payment_of(result),)


def test_another_take_and_another_time_are_other_payments(tmp_path: Path) -> None:
    records = Records(tmp_path)
    first = a_result(sha("a"), **PAID)
    again = replace(first, digest=sha("b"), created="2026-05-05T00:00:00Z")
    other = replace(first, digest=sha("c"), take=2)
    for result in (first, again, other):
        records.put_result(result)

    assert records.all_results() == (again, other)
    assert records.all_payments() == (payment_of(first), payment_of(other), payment_of(again))


def test_dropping_a_result_and_collecting_its_bytes_keep_the_payment(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    dropped = a_result(sha("a"), key="dropped", **PAID | {"created": "2026-01-01T00:00:00Z"})
    cache.records.put_result(dropped)
    cache.records.drop((dropped,))
    collected = keep_result(cache, b"picture", key="collected", **PAID)
    cache.gc(max_bytes=0)

    assert cache.records.all_results() == ()
    assert cache.records.all_payments() == (payment_of(dropped), payment_of(collected))
    assert cache.verify(repair=True).ok
    assert len(cache.records.all_payments()) == 2


def test_lost_records_are_rebuilt_with_the_payments_of_the_results_there_are(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    kept = keep_result(cache, b"picture", **PAID)
    keep_result(cache, b"card", key="free")
    cache.close()
    shutil.rmtree(tmp_path / "records")

    again = open_cache(tmp_path)

    assert again.records.all_payments() == (payment_of(kept),)
    assert "missing" in again.warnings()[0]


def test_what_may_have_been_charged_is_replaced_by_its_id(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.put_payment(a_payment(outcome="unknown"))
    records.put_payment(a_payment("job2", created="2026-01-01T00:00:00+00:00"))
    records.put_payment(a_payment())
    records.close()

    assert [(one.id, one.outcome) for one in Records(tmp_path).all_payments()] == [
        ("job2", "refused"),
        ("job1", "refused"),
    ]


def test_a_project_in_a_folder_whose_name_is_no_text_is_recorded(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture", **PAID | {"project": "/home/ada/caf\udce9"})
    cache.close()

    assert cache.records.all_payments() == (payment_of(result),)
    shutil.rmtree(tmp_path / "records")
    assert open_cache(tmp_path).records.all_payments() == (payment_of(result),)


@pytest.mark.parametrize(
    "value", ["", "null", "7", "[]", "{}", '{"id": "x"}', dump(to_json(a_payment("other"))), 7, None, b"{}"]
)
def test_a_row_of_another_shape_is_absent_and_gives_way(tmp_path: Path, value: object) -> None:
    records = Records(tmp_path)
    result = a_result(sha("a"), **PAID)
    payment = payment_of(result)
    assert payment is not None
    records.open()
    poison(tmp_path, "paid/job1", 1, 1, None, value)
    poison(tmp_path, f"paid/{payment.id}", 1, 1, None, value)
    poison(tmp_path, "paid/file", 1, 1, "../../victim", dump(to_json(a_payment("file"))))
    assert records.all_payments() == ()

    records.put_result(result)

    assert records.all_payments() == (payment,)


def test_many_rows_are_read_in_one_question(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.put(a_result(sha("a"), key=f"k{n}", **PAID) for n in range(200))
    records.put_payment(a_payment())

    assert len(records.all_payments()) == 201
    assert len(records.all_results()) == 200
    assert records.all_outputs() == records.all_pins() == ()
