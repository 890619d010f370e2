"""The texts of one declaration: what they need, in which order, and their rendering item by item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imgbuild.core.manifest.layers import Layer
from imgbuild.core.manifest.origin import Declaration
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.scalar_place import place_in_scalar
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.template import Compiled
from imgbuild.core.manifest.template_parts import TemplateFailure
from imgbuild.core.manifest.yaml12 import Map, Seq

_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Text:
    """A text at its place. `layer` gives it; `at` is None for the whole of a prompt file."""

    text: str
    source: Source
    at: int | None
    layer: Layer


class Unrendered(Exception):
    """The text could not be rendered; that is reported already."""


class Renderer:
    """Renders a declaration's texts, its variables first, and reports what fails at its place."""

    def __init__(
        self,
        declaration: Declaration,
        included: Mapping[str, Source],
        report: Reporter,
        dynamic: Iterable[str],
    ) -> None:
        self._declaration = declaration
        self._included = included
        self._report = report
        self._dynamic = frozenset(dynamic) | {"id"}
        self._templates = declaration.templates
        self._variables = {
            name: layer for name, layer in declaration.merged.variables.items() if name not in self._dynamic
        }
        self._order: list[tuple[Text, Compiled | None, str]] = []
        self._state: dict[str, str] = {}
        self.values: dict[str, Any] = {"name": declaration.name}
        self.varying: set[str] = set(self._dynamic)
        self.broken: set[str] = set()
        self.includes = False
        """A text includes other files."""

    def compile(self, text: Text) -> Compiled | None:
        """The text, with the variables that it needs put in order; None when that was reported."""
        try:
            compiled = self._templates.compile(text.text)
        except TemplateFailure as failure:
            self._fail(text, failure, None)
            return None
        self.includes |= compiled.includes
        needs = self._variables if compiled.needs_all else compiled.needs
        for name in sorted(needs):
            self._need(name, [])
        return compiled

    def varies(self, compiled: Compiled) -> bool:
        """True when the text can differ between the items of the declaration."""
        return compiled.needs_all or not self.varying.isdisjoint(compiled.needs)

    def _need(self, name: str, path: list[str]) -> None:
        layer = self._variables.get(name)
        if layer is None or self._state.get(name) == "done":
            return
        value, at = layer.node[name], layer.node.values_at[name]
        if name in path or len(path) > _MAX_DEPTH:
            message = f"variables need each other through more than {_MAX_DEPTH} steps"
            if name in path:
                message = f"variables need each other: {' -> '.join([*path[path.index(name) :], name])}"
            chain = self._declaration.layer_chain(layer)
            self._report.add(layer.node.source, at, message, chain=chain)
            self.broken.update(path)
            return
        if not isinstance(value, str):
            self.values[name] = plain(value)
            self._state[name] = "done"
            return
        text = Text(value, layer.node.source, at, layer)
        try:
            compiled = self._templates.compile(value)
        except TemplateFailure as failure:
            self._fail(text, failure, None)
            self.broken.add(name)
            self._state[name] = "done"
            return
        self.includes |= compiled.includes
        for needed in sorted(self._variables if compiled.needs_all else compiled.needs):
            if needed != name or not compiled.needs_all:
                self._need(needed, [*path, name])
        self._state[name] = "done"
        if name in self.broken or not self.broken.isdisjoint(compiled.needs):
            self.broken.add(name)
        elif not compiled.parts:
            self.values[name] = value
        elif self.varies(compiled):
            self.varying.add(name)
            self._order.append((text, compiled, name))
        else:
            try:
                self.values[name] = self.render(text, compiled, self.values, None)
            except Unrendered:
                self.broken.add(name)

    def item_values(self, given: Mapping[str, Any], item: str | None) -> tuple[dict[str, Any], set[str]]:
        """Everything that one item's templates see, and the variables that cannot be had."""
        values = {**self.values, **given}
        broken = set(self.broken)
        for text, compiled, name in self._order:
            if compiled is None or not broken.isdisjoint(compiled.needs):
                broken.add(name)
                continue
            try:
                values[name] = self.render(text, compiled, values, item)
            except Unrendered:
                broken.add(name)
        return values, broken

    def render(self, text: Text, compiled: Compiled, values: Mapping[str, Any], item: str | None) -> str:
        """A text with an item's values. Raises Unrendered."""
        try:
            return self._templates.render(compiled, values, self._variables)
        except TemplateFailure as failure:
            self._fail(text, failure, item)
        raise Unrendered

    def _fail(self, text: Text, failure: TemplateFailure, item: str | None) -> None:
        chain = self._declaration.layer_chain(text.layer, item)
        source, at = text.source, failure.offset
        if failure.name is not None and failure.name in self._included:
            source = self._included[failure.name]
        elif text.at is not None:
            at = place_in_scalar(source.text, text.at, text.text, failure.offset)
        self._report.add(source, at, failure.message, chain=chain, hint=failure.hint)


def plain(value: Any) -> Any:
    """A tree without places: dicts and lists that depend on nothing."""
    if isinstance(value, Map):
        return {key: plain(member) for key, member in value.items()}
    return [plain(member) for member in value] if isinstance(value, Seq) else value
