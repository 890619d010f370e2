import json
import os
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import a_result, an_output, sha

from imgbuild.core.results import MOST, Payment, StoredOutput, StoredResult, payment_of
from imgbuild.store.encoding import (
    Pin,
    dump,
    load,
    output_from_json,
    payment_from_json,
    pin_from_json,
    result_from_json,
    to_json,
)

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
names = st.text(max_size=20)
counts = st.integers(min_value=1, max_value=1 << 40)
# Linux gives Python the bytes of a path that are no UTF-8 as halves of surrogate pairs.
paths = st.none() | st.binary(max_size=20).map(os.fsdecode)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
results = st.builds(
    StoredResult,
    key=digests,
    take=counts,
    digest=digests,
    format=names,
    width=counts,
    height=counts,
    bytes=st.integers(min_value=0),
    spec=st.dictionaries(names, documents, max_size=4),
    provider=names,
    image_id=names,
    created=names,
    model=st.none() | names,
    declared=st.lists(digests, max_size=3).map(tuple),
    cost=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    unit=st.none() | names,
    usage=st.dictionaries(names, documents, max_size=2),
    project=paths,
    task=st.none() | names,
    origin=st.none() | names,
    job=st.none() | names,
    adopted=st.booleans(),
)
outputs = st.builds(
    StoredOutput,
    recipe_key=digests,
    encoder=names,
    source=digests,
    digest=digests,
    format=names,
    width=counts,
    height=counts,
    bytes=st.integers(min_value=0),
)
payments = st.builds(
    Payment,
    id=names,
    image_id=names,
    project=paths.filter(lambda path: path is not None),
    provider=names,
    model=st.none() | names,
    created=names,
    cost=st.none() | st.floats(-MOST, MOST),
    unit=st.none() | names,
    usage=st.dictionaries(names, st.floats(-MOST, MOST) | st.integers(-(10**15), 10**15), max_size=2),
    outcome=names,
    job=st.none() | names,
)


@settings(deadline=None)
@given(result=results)
def test_a_result_comes_back_as_it_was(result: StoredResult) -> None:
    assert result_from_json(load(dump(to_json(result)))) == result


@settings(deadline=None)
@given(output=outputs)
def test_an_output_comes_back_as_it_was(output: StoredOutput) -> None:
    assert output_from_json(load(dump(to_json(output)))) == output


@settings(deadline=None)
@given(payment=payments)
def test_a_payment_comes_back_as_it_was(payment: Payment) -> None:
    text = dump(to_json(payment))
    assert payment_from_json(load(text.encode())) == payment


@settings(deadline=None)
@given(result=results)
def test_the_payment_of_any_result_can_be_written(result: StoredResult) -> None:
    payment = payment_of(result)
    assert (payment is None) == (result.project is None)
    assert payment is None or payment_from_json(to_json(payment)) == payment


@settings(deadline=None)
@given(url=names, digest=digests)
def test_a_pin_comes_back_as_it_was(url: str, digest: str) -> None:
    assert pin_from_json(load(dump(to_json(Pin(url, digest))))) == Pin(url, digest)


@settings(deadline=None)
@given(value=documents)
def test_anything_else_is_nothing(value) -> None:
    assert result_from_json(value) is None
    assert output_from_json(value) is None
    assert pin_from_json(value) is None
    assert payment_from_json(value) is None


@pytest.mark.parametrize("cost", [10**400, -(10**400)])
def test_a_number_that_no_float_can_hold_is_no_cost(cost: int) -> None:
    assert result_from_json(to_json(a_result(sha("x"))) | {"cost": cost}) is None


WRONG = [None, "x", -1, 0, 1.5, True, [], ["x"], {}, "../" * 22, "A" * 64]


@pytest.mark.parametrize("field", [field.name for field in fields(StoredResult)])
def test_a_member_of_a_wrong_type_is_absence(field: str) -> None:
    good = to_json(a_result(sha("x"), model="m", cost=1.5, unit="USD", declared=(sha("d"),)))
    type_ok = {
        "format": ["x", "../" * 22, "A" * 64],
        "cost": [-1, 0, 1.5],
        "bytes": [0],
        "adopted": [True],
        "declared": [[]],
        "spec": [{}],
        "usage": [{}],
    }
    texts = {"provider", "image_id", "created", "model", "unit", "project", "task", "origin", "job"}
    allowed = type_ok["format"] if field in texts else type_ok.get(field, [])
    for value in WRONG:
        expected = any(value is one or (value == one and type(value) is type(one)) for one in allowed)
        assert (result_from_json(good | {field: value}) is not None) == expected, (field, value)


@pytest.mark.parametrize("field", [field.name for field in fields(StoredOutput)])
def test_an_output_without_a_member_is_absence(field: str) -> None:
    members = to_json(an_output(sha("o"), source=sha("s")))
    del members[field]

    assert output_from_json(members) is None


def test_members_of_a_newer_version_are_passed_over() -> None:
    result = a_result(sha("x"))

    assert result_from_json(to_json(result) | {"later": 1}) == result


def test_what_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(ValueError, match="not a valid StoredResult"):
        to_json(a_result("../../x"))


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1e999, NaN]", "[" * 100_000, b"\xff", None, 7])
def test_text_that_is_no_json_is_none(text) -> None:
    assert load(text) is None


def test_json_is_sorted_and_compact() -> None:
    assert dump({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    assert json.loads(dump({"b": 1})) == {"b": 1}
