"""What is recorded, as JSON and back: what is not exactly of the right shape is nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from imgbuild.core.image import Json
from imgbuild.core.results import Payment, StoredOutput, StoredResult, is_amount
from imgbuild.store.blobs import is_digest

Check = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Pin:
    """What a reference URL gave when it was fetched: the digest of a blob."""

    url: str
    digest: str


Kept = StoredResult | StoredOutput | Pin
"""Everything that is recorded about a blob."""


def _text(value: object) -> bool:
    return isinstance(value, str)


def _digest(value: object) -> bool:
    return isinstance(value, str) and is_digest(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _positive(value: object) -> bool:
    return _whole(value) and value != 0


def _amount(value: object) -> bool:
    # Compared, not converted: JSON has whole numbers that no float can hold.
    most = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def _members(value: object) -> bool:
    return isinstance(value, dict)


def _amounts(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_amount, value.values()))


def _digests(value: object) -> bool:
    return isinstance(value, list) and all(_digest(item) for item in value)


_IMAGE: Mapping[str, Check] = {
    "digest": _digest,
    "format": _text,
    "width": _positive,
    "height": _positive,
    "bytes": _whole,
}
_RESULT: Mapping[str, Check] = {
    **_IMAGE,
    "key": _digest,
    "take": _positive,
    "spec": _members,
    "provider": _text,
    "image_id": _text,
    "created": _text,
}
_ANY_RESULT: Mapping[str, Check] = {
    **_RESULT,
    "model": _text,
    "declared": _digests,
    "cost": _amount,
    "unit": _text,
    "usage": _members,
    "project": _text,
    "task": _text,
    "origin": _text,
    "job": _text,
    "adopted": lambda value: isinstance(value, bool),
}
_OUTPUT: Mapping[str, Check] = {**_IMAGE, "recipe_key": _digest, "encoder": _text, "source": _digest}
_PIN: Mapping[str, Check] = {"url": _text, "digest": _digest}
_PAYMENT: Mapping[str, Check] = {
    "id": _text,
    "image_id": _text,
    "project": _text,
    "provider": _text,
    "created": _text,
    "outcome": _text,
}
_ANY_PAYMENT: Mapping[str, Check] = {
    **_PAYMENT,
    "model": _text,
    "cost": is_amount,
    "unit": _text,
    "usage": _amounts,
    "job": _text,
}


def to_json(kept: Kept | Payment) -> dict[str, Json]:
    """The members that are set. Raises ValueError for a value that could not be read back."""
    members = {field.name: _plain(getattr(kept, field.name)) for field in fields(kept)}
    members = {name: value for name, value in members.items() if value is not None}
    match kept:
        case StoredResult():
            checked = _checked(members, _RESULT, _ANY_RESULT)
        case StoredOutput():
            checked = _checked(members, _OUTPUT, _OUTPUT)
        case Pin():
            checked = _checked(members, _PIN, _PIN)
        case Payment():
            checked = _checked(members, _PAYMENT, _ANY_PAYMENT)
    if checked is None:
        raise ValueError(f"not a valid {type(kept).__name__}: {members!r:.500}")
    return members


def result_from_json(value: object) -> StoredResult | None:
    """Read a result back. None when a member is absent or of the wrong type."""
    members = _checked(value, _RESULT, _ANY_RESULT)
    if members is None:
        return None
    return StoredResult(**members | {"declared": tuple(members.get("declared", ()))})


def output_from_json(value: object) -> StoredOutput | None:
    """Read an output back. None when a member is absent or of the wrong type."""
    members = _checked(value, _OUTPUT, _OUTPUT)
    return None if members is None else StoredOutput(**members)


def pin_from_json(value: object) -> Pin | None:
    """Read a pin back. None when a member is absent or of the wrong type."""
    members = _checked(value, _PIN, _PIN)
    return None if members is None else Pin(**members)


def payment_from_json(value: object) -> Payment | None:
    """Read a payment back. None when a member is absent or of the wrong type."""
    members = _checked(value, _PAYMENT, _ANY_PAYMENT)
    return None if members is None else Payment(**{"model": None} | members)


def _checked(
    value: object, required: Mapping[str, Check], known: Mapping[str, Check]
) -> dict[str, Any] | None:
    if not isinstance(value, dict) or not required.keys() <= value.keys():
        return None
    # Members that nobody knows come from a newer version, and are left out.
    members = {name: member for name, member in value.items() if name in known}
    return members if all(known[name](member) for name, member in members.items()) else None


def dump(value: Json) -> str:
    """Compact, sorted JSON. Raises ValueError for a number that JSON does not have."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # The name of a folder need not be UTF-8. Python has its other bytes as halves of surrogate pairs,
    # which neither a file nor the database can be given as they are.
    return text.encode(errors="backslashreplace").decode()


def load(text: object) -> object:
    """Parse JSON; None for everything that is not JSON text."""
    if not isinstance(text, str | bytes):
        return None
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _plain(value: Any) -> Json:
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    plain: Json = value
    return plain
