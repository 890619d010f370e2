"""Two recorded specs compared field by field, in the manifest's own names."""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.events import Cause, Reason
from imgbuild.core.image import Json, Size

_ORDER = (
    "prompt",
    "negative_prompt",
    "model",
    "engine",
    "size",
    "ratio",
    "resolution",
    "quality",
    "background",
    "seed",
    "references",
    "mask",
)
_NAMES = {"engine": "provider"}


def changed_fields(
    old: Mapping[str, Json], new: Mapping[str, Json], accepted: Size | None = None
) -> list[Reason]:
    """Every field that decides the picture and differs, with both values as they were rendered.

    The geometry counts only where something else is asked of the service: then the declared members
    that differ are named, and else what was asked. `accepted` is the size of the file that the image has
    now: a record that several images share cannot tell what this one declared.
    """
    before, after = _flat(old), _flat(new)
    if old.get("asked") != new.get("asked"):
        was, now = _members(old, "declared"), _members(new, "declared")
        if accepted and "size" in was and "size" in now:
            was["size"] = str(accepted)
        if was == now:
            was, now = _members(old, "asked"), _members(new, "asked")
        before.update(was)
        after.update(now)
    extra = sorted((set(before) | set(after)) - set(_ORDER))
    return [
        Reason(_NAMES.get(name, name), before.get(name), after.get(name), Cause.CHANGED)
        for name in (*_ORDER, *extra)
        if before.get(name) != after.get(name)
    ]


def _flat(spec: Mapping[str, Json]) -> dict[str, Json]:
    """One level without the geometry, each parameter under its own name."""
    flat = {name: value for name, value in spec.items() if name not in ("asked", "declared", "params")}
    flat.update({f"params.{name}": value for name, value in _members(spec, "params").items()})
    return flat


def _members(spec: Mapping[str, Json], name: str) -> dict[str, Json]:
    value = spec.get(name)
    return dict(value) if isinstance(value, dict) else {}
