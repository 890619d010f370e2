"""Two recorded specs compared field by field, in the manifest's own names."""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.events import Cause, Reason
from imgbuild.core.image import Json

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


def changed_fields(old: Mapping[str, Json], new: Mapping[str, Json]) -> list[Reason]:
    """Every field that decides the picture and differs, with both values as they were rendered.

    Of the geometry, what was declared is named where it differs, and else what was asked of the service.
    """
    before, after = _flat(old), _flat(new)
    extra = sorted((set(before) | set(after)) - set(_ORDER))
    return [
        Reason(_NAMES.get(name, name), before.get(name), after.get(name), Cause.CHANGED)
        for name in (*_ORDER, *extra)
        if before.get(name) != after.get(name)
    ]


def _flat(spec: Mapping[str, Json]) -> dict[str, Json]:
    """One level: the geometry beside the rest, each parameter under its own name."""
    flat = {name: value for name, value in spec.items() if name not in ("asked", "declared", "params")}
    asked, declared, params = spec.get("asked"), spec.get("declared"), spec.get("params")
    if isinstance(asked, dict):
        flat.update(asked)
    if isinstance(declared, dict):
        flat.update(declared)
    if isinstance(params, dict):
        flat.update({f"params.{name}": value for name, value in params.items()})
    return flat
