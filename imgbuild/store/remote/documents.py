"""What is written into a shared cache: versioned JSON, signed where a key is given, believed when whole."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from imgbuild.core.image import Json
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.store.blobs import is_digest
from imgbuild.store.encoding import dump, load, output_from_json, result_from_json, to_json

VERSION = 1
_MOST = 1000
"""Entries of a list that are believed; nobody has more ways to one picture."""


class UnsignedError(Exception):
    """A record without a signature, or with another one than its content asks for."""


def result_name(key: str, take: int) -> str:
    """The name of a result's record."""
    return f"result/{key}/{take}"


def declared_name(key: str) -> str:
    """The name of the record that leads from a declared key to generation keys."""
    return f"declared/{key}"


def outputs_name(recipe_key: str) -> str:
    """The name of the record of what a recipe gives."""
    return f"output/{recipe_key}"


def seal(scope: str, name: str, value: Json, secret: bytes | None) -> bytes:
    """A record's bytes. The signature covers scope and name: nobody can pass one record off as another."""
    members: dict[str, Json] = {"version": VERSION, "value": value}
    if secret is not None:
        members["hmac"] = _signature(scope, name, value, secret)
    return dump(members).encode() + b"\n"


def unseal(scope: str, name: str, data: bytes, secret: bytes | None) -> Json:
    """A record's value; None for what is no record, or one of a version that is not understood.

    Raises:
        UnsignedError: a secret is given, and the record is not signed with it.
    """
    members = load(data)
    if not isinstance(members, dict) or members.get("version") != VERSION:
        return None
    value: Json = members.get("value")
    if secret is not None:
        given = members.get("hmac")
        try:
            made = _signature(scope, name, value, secret)
        except RecursionError:
            raise UnsignedError(name) from None
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), made.encode()):
            raise UnsignedError(name)
    return value


def result_value(result: StoredResult) -> Json:
    """A result as others may know it: without the folder and the bill of whoever paid."""
    return to_json(replace(result, project=None, job=None))


def read_result(value: Json, key: str, take: int) -> StoredResult | None:
    """A result, if it is the one that was asked for."""
    result = result_from_json(value)
    if result is None or (result.key, result.take) != (key, take):
        return None
    return replace(result, project=None, job=None)


def read_keys(value: Json) -> tuple[str, ...]:
    """The keys of a list, without whatever else stands there."""
    items = value if isinstance(value, list) else []
    return tuple(dict.fromkeys(item for item in items if isinstance(item, str) and is_digest(item)))[:_MOST]


def outputs_value(outputs: dict[str, StoredOutput]) -> Json:
    """The outputs of one recipe, by encoder."""
    return {encoder: to_json(output) for encoder, output in outputs.items()}


def read_outputs(value: Json, recipe_key: str) -> dict[str, StoredOutput]:
    """The outputs of a recipe, by encoder, without what is not of this recipe."""
    items = [*value.values()][:_MOST] if isinstance(value, dict) else []
    found = (output_from_json(item) for item in items)
    return {one.encoder: one for one in found if one is not None and one.recipe_key == recipe_key}


def _signature(scope: str, name: str, value: Json, secret: bytes) -> str:
    message = f"imgbuild shared record {VERSION}\n{scope}\n{name}\n{dump(value)}"
    return hmac.new(secret, message.encode(), hashlib.sha256).hexdigest()
