"""A tree against a model: pydantic's errors in a person's words, at the place of the key or value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from imgbuild.core.manifest.base_model import Model
from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.yaml12 import Map, Node, Seq
from imgbuild.core.suggest import did_you_mean

M = TypeVar("M", bound=Model)
Broken = set[tuple[int, str]]
"""(id of a Map, key): values that are reported already and mean nothing."""


def validate(model: type[M], tree: Node, source: Source, report: Reporter, broken: Broken) -> M | None:
    """The model of `tree`; None, with every error reported and noted in `broken`, when it is wrong."""
    if not isinstance(tree, Map):
        report.add(source, tree.at if isinstance(tree, Seq) else 0, f"must be a mapping, not {kind_of(tree)}")
        return None
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(model, tree, detail, source, report, broken)
    return None


def kind_of(value: object) -> str:
    """What a YAML value is, in a word for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a mapping"


def _report(
    model: type[BaseModel],
    tree: Map,
    detail: ErrorDetails,
    source: Source,
    report: Reporter,
    broken: Broken,
) -> None:
    at, name, keys = _walk(tree, detail["loc"], broken, key=detail["type"] == "extra_forbidden")
    chain = _chain(keys)
    if detail["type"] == "extra_forbidden":
        key = str(detail["loc"][-1])
        known = _known_keys(model, detail["loc"][:-1])
        remedy = did_you_mean(key, known) or f"known here: {', '.join(known)}"
        report.add(source, at, f'unknown key "{shown(key)}"', chain=chain, hint=remedy, kind="key")
    elif detail["type"] == "missing":
        missing = detail["loc"][-1]
        report.add(source, at, f'"{missing}" is missing', chain=chain, kind=f"missing {missing}")
    else:
        message, hint = _words(detail)
        report.add(source, at, f"{name}: {message}" if name else message, chain=chain, hint=hint)


def _walk(
    tree: Map, loc: tuple[int | str, ...], broken: Broken, *, key: bool
) -> tuple[int, str, tuple[str, ...]]:
    """The offset that an error's location means, the nearest key's name, and the keys on the way.

    A location also names the members of unions, which are no part of the tree: they are skipped.
    """
    node: Any = tree
    at, name = tree.at, ""
    keys: list[str] = []
    for part in loc:
        if isinstance(node, Map) and isinstance(part, str) and part in node:
            broken_here = (id(node), part)
            at = node.keys_at[part] if key and part is loc[-1] else node.values_at[part]
            if not (key and part is loc[-1]):
                name = part
                keys.append(part)
            node = node[part]
            broken.add(broken_here)
        elif isinstance(node, Seq) and isinstance(part, int) and part < len(node):
            at = node.items_at[part]
            node = node[part]
    return at, name, tuple(keys)


_SECTIONS = {"images": "image", "presets": "preset", "profiles": "profile", "providers": "provider"}


def _chain(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The origin as far as the keys tell it: ("preset icon",)."""
    if len(keys) > 1 and keys[0] in _SECTIONS:
        return (f"{_SECTIONS[keys[0]]} {keys[1]}",)
    return ("defaults",) if keys and keys[0] == "defaults" else ()


def _known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the model that stands at a location."""
    current = [model]
    in_mapping = False
    for part in loc:
        if in_mapping or isinstance(part, int):
            in_mapping = False
            continue
        for candidate in current:
            fields = {f.alias or n: f for n, f in candidate.model_fields.items()}
            if part in fields:
                annotation = fields[str(part)].annotation
                current = list(_models(annotation))
                in_mapping = _holds_mapping(annotation)
                break
    return [f.alias or n for m in current for n, f in m.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _holds_mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is dict or any(map(_holds_mapping, get_args(annotation)))


_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _words(detail: ErrorDetails) -> tuple[str, str | None]:
    kind, value, limits = detail["type"], detail["input"], detail.get("ctx", {})
    hint = None
    if kind in _TYPES:
        if kind == "string_type" and isinstance(value, bool | int | float):
            hint = "put it in quotes"
        return f"must be {_TYPES[kind]}, not {kind_of(value)}", hint
    if kind == "value_error":
        return str(limits["error"]), None
    if kind == "literal_error":
        return f"must be {_unquoted(limits['expected'])}, not {_short(value)}", None
    bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for bound, words in bounds.items():
        if bound in limits:
            return f"must be {words} {limits[bound]}", None
    if kind in ("too_short", "string_too_short"):
        return "must not be empty", None
    if kind == "string_pattern_mismatch":
        return f"{_short(value)} does not have the form {limits['pattern']}", None
    return str(detail["msg"]).lower(), None


def _unquoted(expected: Any) -> str:
    return str(expected).replace("'", "")


def _short(value: object) -> str:
    return (
        f'"{shown(value)}"'
        if isinstance(value, str)
        else kind_of(value)
        if value is None
        else shown(str(value))
    )


def strings(value: object) -> Iterable[tuple[int, str]]:
    """The text items of a list with their indexes; a single text is a list of one."""
    if isinstance(value, str):
        return [(0, value)]
    return [(i, v) for i, v in enumerate(value) if isinstance(v, str)] if isinstance(value, list) else []
