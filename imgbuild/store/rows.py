"""How records lie in the database: a JSON document a row, and what putting and dropping one changes.

    result/<generation key>     {"<take>": result}
    output/<recipe key>         {"<encoder>": output}
    pin/<SHA-256 of the URL>    pin
    declared/<declared key>     [generation keys, oldest first]
    made/<digest>               [recipe keys]

Callers give an open database, inside a transaction where they write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from imgbuild.core.image import Json
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.store.encoding import (
    Kept,
    Pin,
    dump,
    load,
    output_from_json,
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
    members = row(db, f"result/{key}")
    found = map(result_from_json, members.values()) if isinstance(members, dict) else ()
    return {result.take: result for result in found if result is not None and result.key == key}


def outputs_row(db: Any, recipe_key: str) -> dict[str, StoredOutput]:
    """The outputs of a recipe, by encoder."""
    members = row(db, f"output/{recipe_key}")
    found = map(output_from_json, members.values()) if isinstance(members, dict) else ()
    return {one.encoder: one for one in found if one is not None and one.recipe_key == recipe_key}


def pin_row(db: Any, url: str) -> Pin | None:
    """The pin of a URL."""
    pin = pin_from_json(row(db, _pin_name(url)))
    return pin if pin is not None and pin.url == url else None


def put_row(db: Any, kept: Kept) -> None:
    """Add or replace a record, and its entries in the indexes."""
    match kept:
        case StoredResult():
            _set_results(db, kept.key, results_row(db, kept.key) | {kept.take: kept})
            for declared in kept.declared:
                _add_text(db, f"declared/{declared}", kept.key)
        case StoredOutput():
            _set_outputs(db, kept.recipe_key, outputs_row(db, kept.recipe_key) | {kept.encoder: kept})
            _add_text(db, f"made/{kept.digest}", kept.recipe_key)
        case Pin():
            _set(db, _pin_name(kept.url), to_json(kept))


def drop_row(db: Any, kept: Kept) -> None:
    """Remove a record, unless by now it names another digest.

    The index by declared key may keep naming a key without results; readers pass over it. That the bytes
    were made by imgbuild stays known.
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
