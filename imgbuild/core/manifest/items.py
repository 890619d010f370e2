"""What a declaration is repeated over: the combinations of its matrix or the items of its foreach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.matrix import read_matrix
from imgbuild.core.manifest.origin import Declaration
from imgbuild.core.manifest.project import FileProblem
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.sources import KINDS, Item, inline_items
from imgbuild.core.manifest.yaml12 import Map, Seq
from imgbuild.core.safepath import UnsafePath

Given = tuple[str | None, Mapping[str, Any]]
"""What stands in the id's brackets, and what templates see besides the variables."""


def declared_items(
    declaration: Declaration, reading: Reading, report: Reporter, room: int
) -> list[Given] | None:
    """A declaration's items: one without a label where it is not repeated. `room` is the number of
    images that may still come. None when something was wrong; it is reported."""
    given = declaration.merged.fields
    matrix, foreach = given.get("matrix"), given.get("foreach")
    if matrix is not None and foreach is not None:
        source, at, layer = declaration.field_at("foreach")
        report.add(
            source,
            at,
            "matrix and foreach are given together",
            chain=declaration.layer_chain(layer),
            hint="write the matrix's values as items of the foreach, or use two images",
        )
        return None
    items: list[Given] | None = [(None, {})]
    if matrix is not None:
        node = matrix.node["matrix"]
        chain = declaration.layer_chain(matrix)
        read = read_matrix(node, report, chain) if isinstance(node, Map) else None
        if read is None:
            return None
        if read.count() > room:
            _too_many(declaration, "matrix", report, read.count())
            return None
        items = list(read.combinations())
    elif foreach is not None:
        items = _Foreach(declaration, reading, report).items()
    if items is not None and len(items) > room:
        _too_many(declaration, "foreach", report, len(items))
        return None
    return items


def _too_many(declaration: Declaration, field: str, report: Reporter, count: int) -> None:
    source, at, layer = declaration.field_at(field)
    chain = declaration.layer_chain(layer)
    report.add(source, at, f"{count:,} images are too many; a manifest makes at most 1,000,000", chain=chain)


class _Foreach:
    def __init__(self, declaration: Declaration, reading: Reading, report: Reporter) -> None:
        self._reading = reading
        self._report = report
        self._layer = declaration.merged.fields["foreach"]
        self._chain = declaration.layer_chain(self._layer)
        self._good = True

    def items(self) -> list[Given] | None:
        node = self._layer.node["foreach"]
        if not isinstance(node, Map):
            return None
        name = node.get("as")
        name = name if isinstance(name, str) else "item"
        if name in ("id", "name"):
            self._wrong(node, "as", f'"{name}" is taken; templates know the image by it')
        sources = [kind for kind in (*KINDS, "items") if node.get(kind) is not None]
        if len(sources) != 1:
            what = "names no source" if not sources else f"names {' and '.join(sources)}"
            at = self._layer.node.values_at["foreach"]
            hint = f"give one of {', '.join((*KINDS, 'items'))}"
            self._report.add(self._layer.node.source, at, f"foreach {what}", chain=self._chain, hint=hint)
            return None
        found = list(self._read(node, sources[0]))
        self._unique(found)
        return [(item.label, {name: item.value}) for item in found] if self._good else None

    def _read(self, node: Map, kind: str) -> Iterable[Item]:
        value = node[kind]
        if kind == "items":
            if not isinstance(value, Seq):
                self._good = False
                return
            items, problems = inline_items(value)
            self._report.add_problems(node.source, problems, chain=self._chain)
            self._good &= not problems
            yield from items
            return
        if not isinstance(value, str):
            self._good = False
            return
        try:
            paths = self._reading.matches(value, self._layer.folder)
        except UnsafePath as error:
            self._wrong(node, kind, f'"{shown(value)}" {error}')
            return
        for path in paths:
            try:
                items, problems, source = self._reading.items(kind, path)
            except FileProblem as error:
                self._wrong(node, kind, f'"{shown(self._reading.shown(path))}" {error}')
                continue
            self._report.add_problems(source, problems, chain=self._chain)
            self._good &= not problems
            yield from items

    def _unique(self, found: list[Item]) -> None:
        first: dict[str, Item] = {}
        for item in found:
            other = first.setdefault(item.label, item)
            if other is not item:
                self._good = False
                self._report.add(
                    item.source,
                    item.at,
                    f'a second item has the id "{shown(item.label)}"; '
                    f"the first is at {other.source.position(other.at)}",
                    chain=self._chain,
                    hint="give each item an `id` or a `slug` of its own",
                )

    def _wrong(self, node: Map, key: str, message: str) -> None:
        self._good = False
        self._report.add(node.source, node.values_at[key], f"{key}: {message}", chain=self._chain)
