"""The entries under `derive`: each to the files that it declares, for one image after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from imgbuild.core.encoding import ENCODER_OPTIONS, option_problem
from imgbuild.core.image import (
    DIGEST_SIGNS,
    Json,
    Operations,
    OutputFile,
    Size,
    digest_path,
    output_format,
)
from imgbuild.core.manifest.expansion import Claim
from imgbuild.core.manifest.field_values import FieldValues
from imgbuild.core.manifest.fields import parse_focus, parse_size, shown
from imgbuild.core.manifest.origin import Declaration
from imgbuild.core.manifest.palette import parse_palette
from imgbuild.core.manifest.project import FileProblem
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.template import Compiled
from imgbuild.core.manifest.texts import Renderer, Text, Unrendered, plain
from imgbuild.core.manifest.yaml12 import Map, Seq
from imgbuild.core.safepath import join_path, safe_path

_MAX_PALETTE = 1024 * 1024
_OPTIONS = ("quality", "lossless", "effort", "progressive")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry, with all that is the same for every image."""

    index: int
    node: Map
    output: Text
    compiled: Compiled
    operations: Operations
    given: Mapping[str, Any]
    formats: Mapping[str | None, Mapping[str, Json]]
    """The options of each format; without `formats` the key is None, and the extension tells."""
    nine_slice: tuple[int, int, int, int] | None


class Derivations:
    """What one declaration derives. What is wrong with an entry is reported once, at its place."""

    def __init__(
        self,
        declaration: Declaration,
        renderer: Renderer,
        reading: Reading,
        values: FieldValues,
        report: Reporter,
    ) -> None:
        self._declaration = declaration
        self._renderer = renderer
        self._reading = reading
        self._values = values
        self._report = report
        self._told: set[tuple[int, str]] = set()
        layer = declaration.merged.fields.get("derive")
        self._layer = layer or declaration.entry
        nodes = layer.node["derive"] if layer is not None else ()
        self._entries: list[_Entry] = []
        if isinstance(nodes, Seq):
            for index, node in enumerate(nodes):
                entry = self._entry(index, node) if isinstance(node, Map) else None
                if entry is not None:
                    self._entries.append(entry)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def files(
        self,
        owner: str,
        found: Mapping[str, Any],
        values: Mapping[str, Any],
        broken: Collection[str],
        label: str | None,
        claim: Callable[[Claim], None],
    ) -> tuple[OutputFile, ...]:
        """The files of one image; `found` are its own values, `values` what templates see, but `broken`."""
        files: list[OutputFile] = []
        for entry in self._entries:
            if not entry.compiled.needs.isdisjoint(broken):
                continue
            for width in entry.given.get("widths") or (None,):
                for format, options in entry.formats.items():
                    file = self._file(entry, width, format, options, found, values, label)
                    if file is not None:
                        files.append(file)
                        chain = self._declaration.layer_chain(self._layer, label)
                        claim(Claim(file.path, f'image "{owner}"', entry.output, chain))
        return tuple(files)

    def _entry(self, index: int, node: Map) -> _Entry | None:
        output = node.get("output")
        if not isinstance(output, str):
            return None
        text = Text(output, node.source, node.values_at["output"], self._layer)
        compiled = self._renderer.compile(text)
        given = {key: value for key, value in plain(node).items() if not key.startswith("x-")}
        try:
            if any(type(width) is not int for width in given.get("widths") or ()):
                return None
            if any(format not in ENCODER_OPTIONS for format in given.get("formats") or ()):
                return None
            formats = _formats(given)
            operations = self._operations(node, given)
        except _Wrong as error:
            self._wrong(node, error.key, str(error), None)
            return None
        except (TypeError, ValueError, AttributeError):
            # The model has reported what is wrong with it.
            return None
        if compiled is None:
            return None
        return _Entry(
            index, node, text, compiled, operations, given, formats, borders(given.get("nine_slice"))
        )

    def _operations(self, node: Map, given: Mapping[str, Any]) -> Operations:
        palette = given.get("palette")
        if isinstance(palette, str):
            palette = self._palette(palette)
        elif isinstance(palette, list):
            palette = tuple(dict.fromkeys(colour.lower() for colour in palette))
        size, focus = given.get("size"), given.get("focus")
        return Operations(
            grid=given.get("grid"),
            trim=bool(given.get("trim")),
            size=parse_size(size) if size is not None else None,
            scale=float(given["scale"]) if given.get("scale") is not None else None,
            fit=given.get("fit") or "cover",
            focus=parse_focus(focus) if focus is not None else None,
            kernel=None if given.get("kernel") == "lanczos3" else given.get("kernel"),
            palette=palette,
            pad=given.get("pad") or 0,
            pow2=bool(given.get("pow2")),
            seamless=bool(given.get("seamless")),
        )

    def _palette(self, name: str) -> tuple[str, ...]:
        try:
            path = safe_path(name.strip(), self._layer.folder)
            source = self._reading.source(path, _MAX_PALETTE)
            return parse_palette(source.text, path)
        except (FileProblem, ValueError) as error:
            raise _Wrong("palette", f'"{shown(name)}" {error}') from None

    def _file(
        self,
        entry: _Entry,
        width: int | None,
        format: str | None,
        options: Mapping[str, Json],
        found: Mapping[str, Any],
        values: Mapping[str, Any],
        label: str | None,
    ) -> OutputFile | None:
        operations = _for_image(entry, width, found)
        seen = {**values, "digest": DIGEST_SIGNS}
        if format is not None:
            seen["format"] = format
        if operations.size is not None:
            seen |= {"width": operations.size.width, "height": operations.size.height}
        elif operations.width is not None:
            seen["width"] = operations.width
        try:
            path = self._path(self._renderer.render(entry.output, entry.compiled, seen, label).strip())
            kind = output_format(path)
            if kind is None:
                raise ValueError(f'"{_plain(path)}" must end in .png, .jpg, .jpeg, .webp or .avif')
            if format not in (None, kind):
                raise ValueError(f'"{_plain(path)}" is to be written as {format}; end it in {{{{ format }}}}')
        except Unrendered:
            return None
        except ValueError as error:
            self._wrong(entry.node, "output", str(error), label)
            return None
        problem = option_problem(kind, options)
        if problem is not None:
            key = next((name for name in _OPTIONS if name in entry.node), "formats")
            self._wrong(entry.node, key, problem, label)
            return None
        return OutputFile(
            path=path,
            operations=operations,
            options=options,
            metadata=entry.given.get("metadata") or "provenance",
            nine_slice=entry.nine_slice,
            sizes=entry.given.get("sizes"),
            entry=entry.index,
        )

    def _path(self, text: str) -> str:
        """The path, in which the digits of a digest may still be open. ValueError says what is wrong."""
        self._values.writable(_plain(text), self._layer.folder)
        return join_path(self._layer.folder, text)

    def _wrong(self, node: Map, key: str, message: str, label: str | None) -> None:
        """Report it for the first image that it is wrong for: the others would say the same."""
        if (id(node), key) in self._told:
            return
        self._told.add((id(node), key))
        at = node.values_at.get(key, node.at)
        chain = self._declaration.layer_chain(self._layer, label)
        self._report.add(node.source, at, f"{key}: {message}", chain=chain)


def borders(value: Any) -> tuple[int, int, int, int] | None:
    """A nine-slice as left, top, right and bottom, from one number for all of them or from four."""
    if isinstance(value, int):
        return value, value, value, value
    # Anything else is reported where the whole manifest is validated.
    return tuple(value) if isinstance(value, list) and len(value) == 4 else None


class _Wrong(ValueError):
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _formats(given: Mapping[str, Any]) -> dict[str | None, Mapping[str, Json]]:
    """Each format's options: its own over the entry's. Of the entry's, a format takes those that it has."""
    shared = {name: given[name] for name in _OPTIONS if given.get(name) is not None}
    formats = given.get("formats")
    if formats is None:
        return {None: shared}
    own = formats if isinstance(formats, dict) else dict.fromkeys(formats)
    return dict(_with_shared(own, shared, alone=len(own) == 1))


def _with_shared(
    own: Mapping[str, Any], shared: Mapping[str, Json], *, alone: bool
) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for format, options in own.items():
        mine = {name: value for name, value in (options or {}).items() if value is not None}
        fitting = {n: v for n, v in shared.items() if alone or option_problem(format, {n: v}) is None}
        yield format, {**fitting, **mine}


def _for_image(entry: _Entry, width: int | None, found: Mapping[str, Any]) -> Operations:
    """The entry's operations for one image.

    What an image's `size` cuts off is off in all its files; but what is trimmed comes from the whole master.
    """
    one = entry.operations
    finished: Size | None = None if one.trim else found.get("size")
    size, wide, scale = one.size, width, one.scale
    if size is None and finished is not None:
        factor = width / finished.width if width is not None else scale or 1
        size = Size(width or _at_least_one(finished.width * factor), _at_least_one(finished.height * factor))
        wide = scale = None
    focus = one.focus or found.get("focus")
    alpha = found.get("alpha")
    return replace(
        one,
        alpha=alpha.removeprefix("key:") if alpha is not None else None,
        size=size,
        width=wide,
        scale=scale,
        fit=entry.given.get("fit") or found.get("fit") or "cover",
        focus=None if focus == "centre" else focus,
    )


def _at_least_one(pixels: float) -> int:
    return max(1, round(pixels))


def _plain(path: str) -> str:
    """The path with noughts for the digits of a digest, as long as a real one."""
    return digest_path(path, "0" * len(DIGEST_SIGNS))
