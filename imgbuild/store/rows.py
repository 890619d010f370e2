"""How records lie in the database: a JSON document a row, and what putting and dropping one changes.

    result/<generation key>     {"<take>": result}
    output/<recipe key>         {"<encoder>": output}
    pin/<SHA-256 of the URL>    pin
    declared/<declared key>     [generation keys, oldest first]
    made/<digest>               [recipe keys]
    paid/<id>                   payment; it stays when the result goes

Callers give an open database, inside a transaction where they write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from imgbuild.core.image import Json
from imgbuild.core.results import Payment, StoredOutput, StoredResult, payment_of
from imgbuild.store.database import read_below
from imgbuild.store.encoding import (
    Kept,
    Pin,
    dump,
    load,
    output_from_json,
    payment_from_json,
    pin_from_json,
    result_from_json,
    to_json,
)


def row(db: Any, name: str) -> object:
    """A row's document; None when it is absent or no JSON."""
    return load(db.get(name))


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list; of anything else, none."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def results_row(db: Any, key: str) -> dict[int, StoredResult]:
    """The results of a generation key, by take."""
    return _results(key, row(db, f"result/{key}"))


def outputs_row(db: Any, recipe_key: str) -> dict[str, StoredOutput]:
    """The outputs of a recipe, by encoder."""
    return _outputs(recipe_key, row(db, f"output/{recipe_key}"))


def pin_row(db: Any, url: str) -> Pin | None:
    """The pin of a URL."""
    pin = pin_from_json(row(db, _pin_name(url)))
    return pin if pin is not None and pin.url == url else None


def all_results(db: Any) -> list[StoredResult]:
    """Every result."""
    return [result for key, value in _all(db, "result/") for result in _results(key, value).values()]


def all_outputs(db: Any) -> list[StoredOutput]:
    """Every output."""
    return [output for key, value in _all(db, "output/") for output in _outputs(key, value).values()]


def all_pins(db: Any) -> list[Pin]:
    """Every pin."""
    return [pin for _, value in _all(db, "pin/") if (pin := pin_from_json(value)) is not None]


def all_payments(db: Any) -> list[Payment]:
    """Every payment."""
    found = (_payment(f"paid/{id}", value) for id, value in _all(db, "paid/"))
    return [payment for payment in found if payment is not None]


def put_payment_row(db: Any, payment: Payment) -> None:
    """Add or replace a payment."""
    _set(db, _paid_name(payment), to_json(payment))


def put_row(db: Any, kept: Kept) -> None:
    """Add or replace a record, and its entries in the indexes."""
    match kept:
        case StoredResult():
            _set_results(db, kept.key, results_row(db, kept.key) | {kept.take: kept})
            for declared in kept.declared:
                _add_text(db, f"declared/{declared}", kept.key)
            payment = payment_of(kept)
            if payment is not None and _payment(name := _paid_name(payment), row(db, name)) is None:
                put_payment_row(db, payment)
        case StoredOutput():
            _set_outputs(db, kept.recipe_key, outputs_row(db, kept.recipe_key) | {kept.encoder: kept})
            _add_text(db, f"made/{kept.digest}", kept.recipe_key)
        case Pin():
            _set(db, _pin_name(kept.url), to_json(kept))


def drop_row(db: Any, kept: Kept) -> None:
    """Remove a record, unless by now it names another digest.

    The index by declared key may keep naming a key without results; readers pass over it. That the bytes
    were made by imgbuild stays known, and so does what was paid.
    """
    match kept:
        case StoredResult():
            results = results_row(db, kept.key)
            if kept.take in results and results[kept.take].digest == kept.digest:
                del results[kept.take]
                _set_results(db, kept.key, results)
        case StoredOutput():
            outputs = outputs_row(db, kept.recipe_key)
            if kept.encoder in outputs and outputs[kept.encoder].digest == kept.digest:
                del outputs[kept.encoder]
                _set_outputs(db, kept.recipe_key, outputs)
        case Pin():
            if pin_row(db, kept.url) == kept:
                db.delete(_pin_name(kept.url))


def _all(db: Any, prefix: str) -> Iterator[tuple[str, object]]:
    """The documents of the rows whose names begin with `prefix`, by the rest of the name."""
    return ((name.removeprefix(prefix), load(text)) for name, text in read_below(db, prefix).items())


def _results(key: str, value: object) -> dict[int, StoredResult]:
    found = map(result_from_json, value.values()) if isinstance(value, dict) else ()
    return {result.take: result for result in found if result is not None and result.key == key}


def _outputs(recipe_key: str, value: object) -> dict[str, StoredOutput]:
    found = map(output_from_json, value.values()) if isinstance(value, dict) else ()
    return {one.encoder: one for one in found if one is not None and one.recipe_key == recipe_key}


def _payment(name: str, value: object) -> Payment | None:
    payment = payment_from_json(value)
    return payment if payment is not None and _paid_name(payment) == name else None


def _paid_name(payment: Payment) -> str:
    return f"paid/{payment.id}".encode(errors="backslashreplace").decode()


def _pin_name(url: str) -> str:
    return f"pin/{hashlib.sha256(url.encode()).hexdigest()}"


def _set_results(db: Any, key: str, results: Mapping[int, StoredResult]) -> None:
    _set(db, f"result/{key}", {str(take): to_json(result) for take, result in results.items()})


def _set_outputs(db: Any, recipe_key: str, outputs: Mapping[str, StoredOutput]) -> None:
    _set(db, f"output/{recipe_key}", {encoder: to_json(output) for encoder, output in outputs.items()})


def _add_text(db: Any, name: str, text: str) -> None:
    known = texts(row(db, name))
    if text not in known:
        _set(db, name, [*known, text])


def _set(db: Any, name: str, value: Json) -> None:
    if value:
        db.set(name, dump(value))
    else:
        db.delete(name)
