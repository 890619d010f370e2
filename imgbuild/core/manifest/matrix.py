"""A matrix: axes and their values to combinations with ids that do not depend on any order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.label import Label, unfit_for_id
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.scalar_place import text_as_written
from imgbuild.core.manifest.validate import kind_of
from imgbuild.core.manifest.yaml12 import Map, Seq
from imgbuild.core.suggest import did_you_mean

_AXIS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAKEN = ("id", "name")
Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Axes in the order of their names, each key with its value; what to leave out and to add."""

    axes: Mapping[str, Mapping[str, Label]]
    exclude: tuple[Mapping[str, str], ...]
    include: tuple[Mapping[str, Label], ...]

    def count(self) -> int:
        """Combinations at most, without making them."""
        return (prod(map(len, self.axes.values())) if self.axes else 0) + len(self.include)

    def combinations(self) -> Iterator[tuple[str, Mapping[str, Label]]]:
        """Each combination's label ("item=sword,tone=warm") and values."""
        names = tuple(self.axes)
        whole = {tuple(e[n] for n in names) for e in self.exclude if len(e) == len(names)}
        partial = [e for e in self.exclude if len(e) < len(names)]
        seen: set[Keys] = set()
        if names:
            for labels in product(*(axis.values() for axis in self.axes.values())):
                keys = tuple(label.key for label in labels)
                values = dict(zip(names, labels, strict=True))
                if keys in whole or any(all(values[n].key == k for n, k in e.items()) for e in partial):
                    continue
                if self.include:
                    seen.add(keys)
                yield _label(names, keys), values
        for added in self.include:
            keys = tuple(added[n].key for n in names)
            if keys not in seen:
                seen.add(keys)
                yield _label(names, keys), added


def _label(names: Keys, keys: Keys) -> str:
    return ",".join(f"{name}={key}" for name, key in zip(names, keys, strict=True))


def read_matrix(node: Map, report: Reporter, chain: tuple[str, ...]) -> Matrix | None:
    """The matrix of a mapping; None, with every error reported, when it is wrong."""
    return _MatrixReader(node, report, chain).read()


class _MatrixReader:
    def __init__(self, node: Map, report: Reporter, chain: tuple[str, ...]) -> None:
        self._node = node
        self._report = report
        self._chain = chain
        self._good = True

    def read(self) -> Matrix | None:
        axes: dict[str, dict[str, Label]] = {}
        for name in sorted(self._node):
            if name in ("exclude", "include") or name.startswith("x-"):
                continue
            if not _AXIS_NAME.fullmatch(name) or name in _TAKEN:
                what = "is taken" if name in _TAKEN else "is no name that a template can use"
                self._wrong(f'the axis name "{shown(name)}" {what}', self._node.keys_at[name])
            axes[name] = self._axis(name)
        if not axes and self._good:
            self._wrong("the matrix has no axis", self._node.at, "write name: [value, ...]")
        if not self._good:
            return None
        exclude = tuple(self._excluded(part, axes) for part in self._parts("exclude"))
        include = tuple(self._included(part, axes) for part in self._parts("include"))
        return Matrix(axes, exclude, include) if self._good else None

    def _wrong(self, message: str, at: int, hint: str | None = None) -> None:
        self._good = False
        self._report.add(self._node.source, at, message, chain=self._chain, hint=hint)

    def _axis(self, name: str) -> dict[str, Label]:
        values = self._node[name]
        axis: dict[str, Label] = {}
        if isinstance(values, Seq):
            for value, at in zip(values, values.items_at, strict=True):
                text = self._text(value, at)
                if text is not None and self._fits(text, at):
                    if text in axis:
                        self._wrong(f'"{shown(text)}" stands twice on the axis {name}', at)
                    axis[text] = Label(text, text)
        elif isinstance(values, Map):
            for key, value in values.items():
                text = self._text(value, values.values_at[key])
                if text is not None and self._fits(key, values.keys_at[key]):
                    axis[key] = Label(text, key)
        else:
            at = self._node.values_at[name]
            self._wrong(f"an axis is a list of values, or keys and values, not {kind_of(values)}", at)
            return axis
        if not values:
            self._wrong(f"the axis {name} has no values", self._node.values_at[name])
        return axis

    def _text(self, value: object, at: int) -> str | None:
        if not isinstance(value, str | bool | int | float):
            self._wrong(f"an axis value is text or a number, not {kind_of(value)}", at)
            return None
        return text_as_written(self._node.source.text, at, value)

    def _fits(self, key: str, at: int) -> bool:
        unfit = unfit_for_id(key)
        if unfit:
            self._wrong(f'the axis value "{shown(key)}" {unfit}', at, "write the axis as key: value")
        return unfit is None

    def _parts(self, name: str) -> list[Map]:
        parts = self._node.get(name)
        if parts is None:
            return []
        if not isinstance(parts, Seq) or not all(isinstance(p, Map) for p in parts):
            self._wrong(f"{name}: must be a list of combinations", self._node.values_at[name])
            return []
        return parts

    def _excluded(self, part: Map, axes: Mapping[str, Mapping[str, Label]]) -> Mapping[str, str]:
        chosen: dict[str, str] = {}
        for name, key in self._choices(part, axes):
            if key not in axes[name]:
                at = part.values_at[name]
                self._wrong(f'the axis {name} has no "{shown(key)}"', at, did_you_mean(key, axes[name]))
            chosen[name] = key
        if not part:
            self._wrong("an empty combination would leave everything out", part.at)
        return chosen

    def _included(self, part: Map, axes: Mapping[str, Mapping[str, Label]]) -> Mapping[str, Label]:
        chosen: dict[str, Label] = {}
        for name, key in self._choices(part, axes):
            at = part.values_at[name]
            known = axes[name].get(key)
            if known is None and isinstance(self._node[name], Map):
                hint = did_you_mean(key, axes[name]) or f"add it to the axis: {key}: text for the prompt"
                self._wrong(f'the axis {name} has no "{shown(key)}"', at, hint)
            elif self._fits(key, at):
                chosen[name] = known or Label(key, key)
        missing = [name for name in axes if name not in part]
        if missing:
            self._wrong(f"the combination lacks {', '.join(missing)}", part.at)
        return dict(sorted(chosen.items()))

    def _choices(self, part: Map, axes: Mapping[str, Mapping[str, Label]]) -> Iterator[tuple[str, str]]:
        for name, value in part.items():
            if name.startswith("x-"):
                continue
            if name not in axes:
                hint = did_you_mean(name, axes) or f"the axes are {', '.join(axes)}"
                self._wrong(f'there is no axis "{shown(name)}"', part.keys_at[name], hint)
                continue
            key = self._text(value, part.values_at[name])
            if key is not None:
                yield name, key
