"""Where an expanded image's fields were written, worked out only when someone asks."""

from __future__ import annotations

from dataclasses import dataclass

from imgbuild.core.errors import Place
from imgbuild.core.manifest.layers import Layer, Merged
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.template import Templates


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

    def place(self, field: str) -> Place:
        """The place of a field's value; of the image's key when the field is not set anywhere."""
        source, at, layer = self.declaration.field_at(field)
        return self._place(source, at, layer)

    def _place(self, source: Source, at: int, layer: Layer) -> Place:
        position = source.position(at)
        chain = self.declaration.layer_chain(layer, self.item)
        return Place(position, chain, source.line(position.line))

    def entry_place(self, field: str, index: int) -> Place:
        """The place of one entry of a list, such as `derive[2]`."""
        layer = self.declaration.merged.fields[field]
        return self._place(layer.node.source, layer.node[field].items_at[index], layer)
