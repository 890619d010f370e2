"""Where an expanded image's fields were written, worked out only when someone asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgbuild.core.errors import Place
from imgbuild.core.manifest.layers import Layer, Merged
from imgbuild.core.manifest.scalar_place import place_in_scalar
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.template import TemplateFailure, Templates
from imgbuild.core.manifest.yaml12 import Map
from imgbuild.core.safepath import safe_path


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """An entry under `images`, with everything that holds for it."""

    name: str
    """With its namespace."""
    entry: Layer
    key_at: int
    merged: Merged
    templates: Templates

    def layer_chain(self, layer: Layer, item: str | None = None) -> tuple[str, ...]:
        """The way from the layer that gives a value to the image, and to the item."""
        chain = (layer.label,) if layer.label != self.entry.label else ()
        return (*chain, self.entry.label, *((item,) if item else ()))

    def field_at(self, field: str) -> tuple[Source, int, Layer]:
        """A field's value, or the image's own key where the field is not set."""
        layer = self.merged.fields.get(field)
        if layer is None:
            return self.entry.node.source, self.key_at, self.entry
        return layer.node.source, layer.node.values_at[field], layer


@dataclass(frozen=True, slots=True, eq=False)
class ImageOrigin:
    """One expanded image's origin."""

    declaration: Declaration
    item: str | None
    """What stands in the id's brackets."""
    values: Mapping[str, Any]
    """What the image's templates see, as far as any of them asked."""

    def place(self, field: str) -> Place:
        """The place of a field's value; of the image's key when the field is not set anywhere."""
        source, at, layer = self.declaration.field_at(field)
        return self._place(source, at, layer)

    def _place(self, source: Source, at: int, layer: Layer) -> Place:
        position = source.position(at)
        chain = self.declaration.layer_chain(layer, self.item)
        return Place(position, chain, source.line(position.line))

    def render_derive(self, index: int, key: str, extra: Mapping[str, Any]) -> str:
        """A text of the image's `derive[index]` with its own values, such as width and format; an
        `output` as a path from the project's folder.

        Raises TemplateFailure, which `derive_place` can point at, and UnsafePath.
        """
        text = self._derive_entry(index)[key]
        templates = self.declaration.templates
        rendered = templates.render(templates.compile(text), {**self.values, **extra})
        return (
            safe_path(rendered, self.declaration.merged.fields["derive"].folder)
            if key == "output"
            else rendered
        )

    def derive_place(self, index: int, key: str, failure: TemplateFailure | None = None) -> Place:
        """The place of a key of `derive[index]`, or of a failure inside its text."""
        node = self._derive_entry(index)
        at = node.values_at.get(key, node.at)
        if failure is not None and isinstance(node.get(key), str) and failure.name is None:
            at = place_in_scalar(node.source.text, at, node[key], failure.offset)
        layer = self.declaration.merged.fields["derive"]
        return self._place(node.source, at, layer)

    def _derive_entry(self, index: int) -> Map:
        entry = self.declaration.merged.fields["derive"].node["derive"][index]
        assert isinstance(entry, Map)
        return entry
