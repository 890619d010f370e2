"""Foreach sources: the text of a data file to items with ids, each at its place."""

from __future__ import annotations

import csv
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.label import Label, unfit_for_id
from imgbuild.core.manifest.scalar_place import text_as_written
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.validate import kind_of
from imgbuild.core.manifest.yaml12 import MAX_DEPTH, Map, Problem, Seq, parse_yaml

_FRONT_MATTER = re.compile(r"---[ \t]*(?:\r\n|\n|\r)")
_FRONT_MATTER_END = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE)
_SPACE = re.compile(r"\s*")
# Names with dots between them. Each name costs the TOML parser a walk over all that stand before it.
_LONG_TOML_KEY = re.compile(
    r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
    f"{{{MAX_DEPTH}}}"
)
_TOML_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True, slots=True)
class Item:
    """One item. `label` stands in the image's id, `value` is what templates see."""

    label: str
    value: dict[str, Any] | Label
    source: Source
    at: int


@dataclass(frozen=True, slots=True)
class _Raw:
    value: Any
    at: int
    key: str | None = None


class _Unreadable(Exception):
    def __init__(self, message: str, at: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(message, at, hint)


def read_items(kind: str, source: Source, stem: str) -> tuple[list[Item], list[Problem]]:
    """The items of a file of a kind (markdown, csv, json, yaml or toml), and what is wrong with it.

    A list is its elements; a mapping that holds nothing but one list is that list's elements; a
    mapping of mappings is those, each with its key as `id`; any other mapping is one item.
    """
    problems: list[Problem] = []
    try:
        raw = list(_READERS[kind](source, problems))
    except _Unreadable as error:
        return [], [*problems, error.problem]
    except RecursionError:
        return [], [Problem("nested too deeply", 0)]
    return _items(raw, source, stem if len(raw) == 1 else None, problems)


def inline_items(items: Seq) -> tuple[list[Item], list[Problem]]:
    """The items that stand in the manifest itself."""
    problems: list[Problem] = []
    raw = []
    for value, at in zip(items, items.items_at, strict=True):
        if isinstance(value, bool | int | float):
            value = text_as_written(items.source.text, at, value)
        raw.append(_Raw(value, at))
    return _items(raw, items.source, None, problems)


def _items(
    raw: list[_Raw], source: Source, stem: str | None, problems: list[Problem]
) -> tuple[list[Item], list[Problem]]:
    items = []
    for entry in raw:
        try:
            items.append(_item(entry, source, stem))
        except _Unreadable as error:
            problems.append(error.problem)
    return items, problems


def _item(entry: _Raw, source: Source, stem: str | None) -> Item:
    value = entry.value
    if isinstance(value, str):
        label = value
    elif isinstance(value, dict):
        label = _identity(value.get("id")) or entry.key or _identity(value.get("slug")) or stem or ""
        if not label:
            raise _Unreadable("the item has no id", entry.at, "give it an `id` or a `slug`")
    else:
        raise _Unreadable(f"an item is a mapping or a text, not {kind_of(value)}", entry.at)
    unfit = unfit_for_id(label)
    if unfit:
        raise _Unreadable(f'the item\'s id "{shown(label)}" {unfit}', entry.at, "give it an `id` or a `slug`")
    if isinstance(value, str):
        return Item(label, Label(value, label), source, entry.at)
    slug = _identity(value.get("slug")) or label
    return Item(label, {**value, "slug": slug}, source, entry.at)


def _identity(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _spread(root: Any, at: int, places: Callable[[Any, str | int], int]) -> Iterator[_Raw]:
    """The items that a list or mapping at the top of a file stands for."""
    if isinstance(root, list):
        yield from (_Raw(v, places(root, i)) for i, v in enumerate(root))
    elif not isinstance(root, dict):
        raise _Unreadable(f"a list of items is wanted, not {kind_of(root)}", at)
    elif len(root) == 1 and isinstance(only := next(iter(root.values())), list):
        yield from (_Raw(v, places(only, i)) for i, v in enumerate(only))
    elif root and all(isinstance(v, dict) for v in root.values()):
        yield from (_Raw(v, places(root, k), k) for k, v in root.items())
    else:
        yield _Raw(root, at)


def _yaml_place(node: Any, key: str | int) -> int:
    if isinstance(node, Map):
        return node.keys_at[str(key)]
    return node.items_at[int(key)] if isinstance(node, Seq) else 0


def _read_yaml(source: Source, problems: list[Problem]) -> Iterator[_Raw]:
    root, found = parse_yaml(source)
    problems.extend(found)
    if root is None:
        return
    yield from _spread(root, root.at if isinstance(root, Map | Seq) else 0, _yaml_place)


def _read_markdown(source: Source, problems: list[Problem]) -> Iterator[_Raw]:
    text = source.text
    opening = _FRONT_MATTER.match(text)
    if opening is None:
        yield _Raw({}, 0)
        return
    end = _FRONT_MATTER_END.search(text, opening.end())
    if end is None:
        raise _Unreadable("the front matter has no end", 0, "close it with a line of three dashes")
    # Blanked, not cut off: every place stays what it is in the file.
    front = Source(source.file, " " * 3 + text[3 : end.start()])
    root, found = parse_yaml(front)
    problems.extend(found)
    if root is not None and not isinstance(root, Map):
        raise _Unreadable(f"front matter is a mapping, not {kind_of(root)}", opening.end())
    if not found:
        yield _Raw(root or {}, root.at if root else 0)


def _read_csv(source: Source, problems: list[Problem]) -> Iterator[_Raw]:
    # newline handling is csv's own: a quoted field may hold breaks.
    lines = iter(re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z", source.text))
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for row in reader:
            at = source.offset(line, 1)
            line = reader.line_num + 1
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if header is None:
                header = _csv_header(row, at)
            elif len(row) > len(header):
                problems.append(Problem(f"{len(row)} fields, but the header has {len(header)}", at))
            else:
                yield _Raw(dict(zip(header, row, strict=False)), at)
    except csv.Error as error:
        raise _Unreadable(f"not CSV: {error}", source.offset(line, 1)) from None


def _csv_header(row: list[str], at: int) -> list[str]:
    header = [name.strip() for name in row]
    if not all(header):
        raise _Unreadable("the header has a column without a name", at)
    twice = _first_double(header)
    if twice is not None:
        raise _Unreadable(f'the header has a second column "{shown(twice)}"', at)
    return header


def _first_double(names: Iterable[str]) -> str | None:
    """The first name that came before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _read_json(source: Source, problems: list[Problem]) -> Iterator[_Raw]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            twice = _first_double(name for name, _ in pairs)
            raise ValueError(f'duplicate key "{shown(twice or "")}"')
        return members

    decoder = json.JSONDecoder(
        object_pairs_hook=unique, parse_constant=_no_constant, parse_int=_json_int, parse_float=_json_float
    )
    text = source.text
    start = _after_space(text, 0)
    at = start
    try:
        if text[start : start + 1] != "[":
            root, end = decoder.raw_decode(text, start)
            _nothing_behind(text, end)
            yield from _spread(_shallow(root, at), start, lambda _node, _key: start)
            return
        # Element by element, so that each item knows its place.
        at = _after_space(text, start + 1)
        closing = text[at : at + 1] == "]"
        while not closing:
            value, end = decoder.raw_decode(text, at)
            yield _Raw(_shallow(value, at), at)
            at = _after_space(text, end)
            closing = text[at : at + 1] == "]"
            if not closing:
                if text[at : at + 1] != ",":
                    raise _Unreadable("not JSON: a comma or ] is missing", at)
                at = _after_space(text, at + 1)
        _nothing_behind(text, at + 1)
    except json.JSONDecodeError as error:
        raise _Unreadable(f"not JSON: {error.msg}", error.pos) from None
    except ValueError as error:
        raise _Unreadable(f"not usable JSON: {shown(str(error))}", at) from None


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _nothing_behind(text: str, end: int) -> None:
    rest = _after_space(text, end)
    if rest < len(text):
        raise _Unreadable("not JSON: something follows the end", rest)


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")


def _json_int(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError("a number does not fit into 64 bits")
    return int(digits)


def _json_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _shallow(value: Any, at: int) -> Any:
    level = [value]
    for _ in range(MAX_DEPTH):
        below = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level = [child for children in below for child in children]
        if not level:
            return value
    raise _Unreadable(f"nested deeper than {MAX_DEPTH} levels", at)


def _read_toml(source: Source, problems: list[Problem]) -> Iterator[_Raw]:
    long = _LONG_TOML_KEY.search(source.text)
    if long is not None:
        raise _Unreadable(f"nested deeper than {MAX_DEPTH} levels", long.start())
    try:
        root = tomllib.loads(source.text, parse_float=_json_float)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        at = source.offset(int(place[1]), int(place[2])) if place else len(source.text)
        raise _Unreadable(f"not TOML: {str(error).split(' (at')[0]}", at) from None
    except ValueError as error:
        raise _Unreadable(f"not usable TOML: {shown(str(error))}", 0) from None
    # TOML's parser keeps no places; an array's tables stand where their headers do.
    headers = [m.start() for m in re.finditer(r"^\[\[[^\[\].]+\]\]", source.text, re.MULTILINE)]

    def place_of(_node: Any, key: str | int) -> int:
        return headers[key] if isinstance(key, int) and key < len(headers) else 0

    yield from _spread(_toml_value(_shallow(root, 0)), 0, place_of)


def _toml_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _toml_value(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_toml_value(v) for v in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else value


_READERS: dict[str, Callable[[Source, list[Problem]], Iterator[_Raw]]] = {
    "markdown": _read_markdown,
    "csv": _read_csv,
    "json": _read_json,
    "yaml": _read_yaml,
    "toml": _read_toml,
}
KINDS = tuple(_READERS)
