"""Defaults, presets and an image's own entry, laid over each other; every value keeps its layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.model import Preset
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.validate import strings
from imgbuild.core.manifest.yaml12 import Map, Seq
from imgbuild.core.suggest import did_you_mean

FIELDS = frozenset(f.alias or name for name, f in Preset.model_fields.items()) - {"vars", "extends"}
_MAX_DEPTH = 100
# Setting the one takes the other back.
_ALTERNATIVES = {"prompt": "prompt_file", "prompt_file": "prompt"}


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A mapping of the manifest that gives values: its name in origin chains, and the folder of its file."""

    label: str
    node: Map
    folder: str


@dataclass(frozen=True, slots=True)
class Merged:
    """Which layer gives each field, and which mapping each variable."""

    fields: Mapping[str, Layer]
    variables: Mapping[str, Layer]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the images of one file see. `defaults` and `variables` go from the weakest to the strongest."""

    folder: str
    namespace: str
    presets: Mapping[str, Layer]
    defaults: tuple[Layer, ...]
    variables: tuple[Layer, ...]
    merged: dict[tuple[str, ...], Merged] = field(default_factory=dict)
    """What presets make together; filled as images ask for it."""


class Merger:
    """Lays layers over each other and reports presets that are missing or extend themselves."""

    def __init__(self, report: Reporter) -> None:
        self._report = report

    def merge(self, scope: Scope, entry: Layer, chain: tuple[str, ...]) -> Merged:
        """Everything that holds for an image: manifest, defaults, presets, the image itself."""
        key = tuple(name for name, _ in self._extends(entry))
        base = scope.merged.get(key)
        if base is None:
            layers = [*scope.defaults, *self._linear(scope, entry, chain)]
            base = scope.merged[key] = self._merge(Merged({}, {}), scope.variables, layers)
        else:
            self._unknown(scope, entry, chain)
        return self._merge(base, (), (entry,))

    def _merge(self, base: Merged, variables: Iterable[Layer], layers: Iterable[Layer]) -> Merged:
        fields = dict(base.fields)
        known = dict(base.variables)
        for layer in variables:
            self._add_variables(known, layer)
        for layer in layers:
            node = layer.node
            for name, value in node.items():
                if name == "vars":
                    if isinstance(value, Map):
                        self._add_variables(known, Layer(layer.label, value, layer.folder))
                elif name in FIELDS:
                    if value is None:
                        fields.pop(name, None)
                    else:
                        fields[name] = layer
                        other = _ALTERNATIVES.get(name)
                        if other and node.get(other) is None:
                            fields.pop(other, None)
        return Merged(fields, known)

    def _add_variables(self, known: dict[str, Layer], layer: Layer) -> None:
        for name in layer.node:
            known[name] = layer

    def _extends(self, layer: Layer) -> list[tuple[str, int]]:
        """The names that a layer extends, with their offsets."""
        value = layer.node.get("extends")
        if value is None:
            return []
        places = value.items_at if isinstance(value, Seq) else [layer.node.values_at["extends"]]
        return [(name, places[i]) for i, name in strings(value)]

    def _unknown(self, scope: Scope, layer: Layer, chain: tuple[str, ...]) -> None:
        for name, at in self._extends(layer):
            if name not in scope.presets:
                known = ", ".join(list(scope.presets)[:20])
                hint = did_you_mean(name, scope.presets) or (
                    f"known: {known}" if known else "there are no presets"
                )
                message = f'there is no preset "{shown(name)}"'
                self._report.add(layer.node.source, at, message, chain=chain, hint=hint)

    def _linear(self, scope: Scope, entry: Layer, chain: tuple[str, ...]) -> list[Layer]:
        """The presets that hold for an entry, the strongest last, each once: where it last stands."""
        order: dict[str, Layer] = {}
        # Names from the strongest: a preset that is met again is already where it belongs.
        done: set[str] = set()
        path: list[str] = []

        def visit(layer: Layer, above: tuple[str, ...]) -> None:
            self._unknown(scope, layer, above)
            for name, at in reversed(self._extends(layer)):
                preset = scope.presets.get(name)
                if preset is None:
                    continue
                if name in path:
                    loop = " -> ".join([*path[path.index(name) :], name])
                    message = f"presets extend each other: {loop}"
                    self._report.add(layer.node.source, at, message, chain=above)
                elif len(path) >= _MAX_DEPTH:
                    message = f"presets extend each other through more than {_MAX_DEPTH} steps"
                    self._report.add(layer.node.source, at, message, chain=above)
                elif name not in done:
                    done.add(name)
                    order[name] = preset
                    path.append(name)
                    visit(preset, (preset.label, *above))
                    path.pop()

        visit(entry, chain)
        return list(reversed(order.values()))
