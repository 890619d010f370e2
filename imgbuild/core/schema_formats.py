"""The JSON Schemas of the lock and of the events, made from the types themselves."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Literal

from imgbuild.core.events import Event
from imgbuild.core.lock import LOCK_VERSION, Lock

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SIMPLE: Mapping[object, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    Any: {},
}
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNT = {"type": "integer", "minimum": 1}
_LOCK_MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "digest": _DIGEST,
    "key": _DIGEST,
    "take": _COUNT,
    "bytes": _COUNT,
    "width": _COUNT,
    "height": _COUNT,
    "version": {"const": LOCK_VERSION},
}
"""What the lock's reader asks of members beyond their types."""


def lock_schema() -> str:
    """The schema of imgbuild.lock: exactly the members that its reader accepts."""
    definitions: dict[str, Any] = {}
    _object(Lock, definitions, _LOCK_MEMBERS, closed=True)
    top = definitions.pop("Lock")
    head = {"$schema": _DRAFT, "title": "imgbuild.lock"}
    return _text({**head, **top, "$defs": definitions})


def events_schema() -> str:
    """The schema of one line of `--output-format json`. Later versions may add members."""
    definitions: dict[str, Any] = {}
    choices = [_object(event, definitions, {}, closed=False) for event in typing.get_args(Event)]
    head = {"$schema": _DRAFT, "title": "imgbuild events", "description": "One JSON object a line."}
    return _text({**head, "oneOf": choices, "$defs": definitions})


def _object(
    cls: Any, definitions: dict[str, Any], known: Mapping[str, Mapping[str, Any]], *, closed: bool
) -> dict[str, Any]:
    """A reference to a dataclass's schema, which is added to the definitions."""
    if cls.__name__ not in definitions:
        schema: dict[str, Any] = {"description": cls.__doc__, "type": "object"}
        definitions[cls.__name__] = schema
        # A JSON value may hold others without end; for a schema it is simply anything.
        hints = typing.get_type_hints(cls, localns={"Json": Any})
        members = [item for item in dataclasses.fields(cls) if not item.metadata.get("internal")]
        schema["required"] = [item.name for item in members if not item.metadata.get("optional")]
        schema["properties"] = {
            item.name: known.get(item.name) or _type(hints[item.name], definitions, known, closed=closed)
            for item in members
        }
        if closed:
            schema["additionalProperties"] = False
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _type(
    hint: Any, definitions: dict[str, Any], known: Mapping[str, Mapping[str, Any]], *, closed: bool
) -> Mapping[str, Any]:
    def inner(hint: Any) -> Mapping[str, Any]:
        return _type(hint, definitions, known, closed=closed)

    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if dataclasses.is_dataclass(hint):
        return _object(hint, definitions, known, closed=closed)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [member.value for member in hint]}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"const": arguments[0]}
    if origin is tuple:
        return {"type": "array", "items": inner(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": inner(arguments[1])}
    if origin in (UnionType, typing.Union):
        return {"anyOf": [inner(argument) for argument in arguments]}
    raise TypeError(f"no schema for {hint}")


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
