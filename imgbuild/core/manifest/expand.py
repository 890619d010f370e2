"""A declaration to its images: items of its matrix or foreach, texts rendered, values checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from imgbuild.core.image import Image, ImageReference, Size, output_format
from imgbuild.core.manifest.derivations import Derivations, borders
from imgbuild.core.manifest.expansion import Claim, Expansion, Link
from imgbuild.core.manifest.field_values import PARSERS, FieldValues
from imgbuild.core.manifest.fields import is_template, shown
from imgbuild.core.manifest.items import Given, declared_items
from imgbuild.core.manifest.origin import Declaration, ImageOrigin
from imgbuild.core.manifest.project import FileProblem
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.manifest.template import Compiled
from imgbuild.core.manifest.template_parts import MAX_RENDERED
from imgbuild.core.manifest.texts import Renderer, Text, Unrendered, plain
from imgbuild.core.manifest.yaml12 import Seq

MAX_IMAGES = 1_000_000
MAX_TEXT = 128 * 1024 * 1024
"""Bytes of all rendered texts together: a small manifest must not fill the memory."""
_RATIO_TOLERANCE = 0.02
_MAX_FAILURES = 100


_LISTS = ("references", "tags")
_FLAGS = ("upscale", "embed_prompt")


@dataclass(frozen=True, slots=True)
class _Field:
    """A text of a field, or of one item of a list."""

    name: str
    text: Text
    compiled: Compiled | None
    """None for a text that the template engine has nothing to do with."""


class Expander:
    """Expands declarations one by one. `providers` are the configured names; `default_provider` holds
    where an image names none, and is None where that is an error."""

    def __init__(
        self,
        reading: Reading,
        report: Reporter,
        providers: Iterable[str],
        default_provider: str | None,
        manifest_paths: frozenset[str],
    ) -> None:
        self._reading = reading
        self._report = report
        self._default_provider = default_provider
        self.values = FieldValues(reading, providers, manifest_paths)
        self._room = MAX_TEXT
        self._ambiguous_reported = False
        self.result = Expansion()

    def expand(self, declaration: Declaration) -> None:
        """Add a declaration's images, and report what is wrong with them."""
        room = MAX_IMAGES - len(self.result.images)
        items = declared_items(declaration, self._reading, self._report, room)
        ids = self.result.by_name.setdefault(declaration.name, [])
        if items is None:
            self.result.failed.add(declaration.name)
        if not items:
            return
        names = {name for _, given in items[:1] for name in given}
        one = _One(self, declaration, names)
        one.images(items, ids)
        if one.includes:
            self.result.including.add(declaration.name)

    def spend(self, text: str) -> None:
        """Count a rendered text; `full` tells when there are too many of them."""
        self._room -= len(text) if text.isascii() else 4 * len(text)

    @property
    def spent(self) -> int:
        """Bytes of all rendered texts so far, at most."""
        return MAX_TEXT - self._room

    @property
    def full(self) -> bool:
        """True when the images' texts together are more than a machine should hold."""
        return self._room < 0

    def provider(self, declaration: Declaration) -> str:
        """Who draws an image that names no provider."""
        if self._default_provider is None and not self._ambiguous_reported:
            self._ambiguous_reported = True
            names = ", ".join(self.values.providers[:-1])
            self._report.add(
                declaration.entry.node.source,
                declaration.key_at,
                f"several providers are configured ({names}), and the image names none",
                chain=declaration.layer_chain(declaration.entry),
                hint="set `provider` under `defaults`",
                kind="provider",
            )
        return self._default_provider or ""


_FAILED = object()


class _One:
    """One declaration's expansion."""

    def __init__(self, expander: Expander, declaration: Declaration, names: set[str]) -> None:
        self._owner = expander
        self._reading = expander._reading
        self._report = expander._report
        self._declaration = declaration
        included = self._reading.included.get(declaration.entry.folder, {})
        self._renderer = Renderer(declaration, included, self._report, names)
        self._constant: dict[str, Any] = {}
        self._varying: list[_Field] = []
        self._lists: dict[str, list[_Field]] = {}
        self._derivations = Derivations(
            declaration, self._renderer, self._reading, expander.values, self._report
        )
        self._failures: dict[str, int] = {}

    @property
    def includes(self) -> bool:
        """Whether a template of it includes a file."""
        return self._renderer.includes

    def images(self, items: list[Given], ids: list[str]) -> None:
        """Make the image of each item."""
        self._prepare()
        declaration = self._declaration
        missing = self._missing()
        for label, given in items:
            if self._owner.full:
                self._too_much()
                return
            id_ = f"{declaration.name}[{label}]" if label is not None else declaration.name
            ids.append(id_)
            values, broken = self._renderer.item_values({**given, "id": id_}, label)
            found = self._values(values, broken, label)
            self._link(id_, found, label)
            output = found.get("output", _FAILED)
            if output is not _FAILED:
                self._claim(id_, output, label)
            if not missing and all(v is not _FAILED for v in found.values()):
                self._agree(found, label)
                image = self._image(id_, found, ImageOrigin(declaration, label))
                if self._derivations:
                    claim = self._owner.result.claims.append
                    files = self._derivations.files(id_, found, values, broken, label, claim)
                    image = replace(image, derive=files)
                self._owner.result.images.append(image)

    def _too_much(self) -> None:
        source, chain = self._declaration.entry.node.source, (self._declaration.entry.label,)
        message = f"the images' texts are together longer than {MAX_TEXT:,} bytes"
        self._report.add(source, self._declaration.key_at, message, chain=chain, kind="text")

    def _prepare(self) -> None:
        """Sort the fields into those that are the same for all items and those that are not."""
        texts: list[tuple[str, Text]] = []
        for name, layer in self._declaration.merged.fields.items():
            value = layer.node[name]
            if name in PARSERS and name not in _LISTS:
                if isinstance(value, int) and not isinstance(value, bool) and name in ("seed", "takes"):
                    value = str(value)
                at = layer.node.values_at[name]
                if isinstance(value, str):
                    texts.append((name, Text(value, layer.node.source, at, layer)))
                else:
                    self._constant[name] = _FAILED
            elif name in _LISTS:
                self._lists[name] = []
                if isinstance(value, Seq):
                    for item, at in zip(value, value.items_at, strict=True):
                        if isinstance(item, str):
                            texts.append((name, Text(item, value.source, at, layer)))
        fields = [field for name, text in texts if (field := self._field(name, text)) is not None]
        for one in fields:
            varies = one.compiled is not None and self._renderer.varies(one.compiled)
            if one.name in _LISTS:
                self._lists[one.name].append(one)
            elif varies or one.name == "prompt_file":
                self._varying.append(one)
            else:
                value = self._value(one, self._renderer.values, self._renderer.broken, None)
                self._constant[one.name] = value

    def _field(self, name: str, text: Text) -> _Field | None:
        """A field's text, ready to be rendered; None, and the field has failed, when it cannot be."""
        if len(text.text) <= MAX_RENDERED and not is_template(text.text):
            return _Field(name, text, None)
        compiled = self._renderer.compile(text)
        if compiled is None:
            self._constant[name] = _FAILED
            return None
        return _Field(name, text, compiled)

    def _missing(self) -> bool:
        """Report what every image must have and this one has not."""
        declaration, given = self._declaration, self._declaration.merged.fields
        chain = declaration.layer_chain(declaration.entry)
        source = declaration.entry.node.source
        missing = False
        if "prompt" not in given and "prompt_file" not in given:
            missing = True
            message = "the image has no prompt"
            hint = "set `prompt`, or `prompt_file`"
            self._report.add(source, declaration.key_at, message, chain=chain, hint=hint, kind="prompt")
        if "output" not in given:
            missing = True
            hint = "set `output` to the path of the finished file"
            self._report.add(
                source, declaration.key_at, "the image has no output", chain=chain, hint=hint, kind="output"
            )
        prompt, file = given.get("prompt"), given.get("prompt_file")
        if prompt is not None and file is not None:
            at = file.node.values_at["prompt_file"]
            self._report.add(
                file.node.source,
                at,
                "prompt and prompt_file are given together",
                chain=declaration.layer_chain(file),
                hint="remove one of them",
            )
        return missing

    def _values(self, values: dict[str, Any], broken: set[str], label: str | None) -> dict[str, Any]:
        found = dict(self._constant)
        for one in self._varying:
            # A family of a million that is wrong throughout is not rendered to its end.
            gave_up = self._failures.get(one.name, 0) >= _MAX_FAILURES
            value = _FAILED if gave_up else self._value(one, values, broken, label)
            if value is _FAILED:
                self._failures[one.name] = self._failures.get(one.name, 0) + 1
            found[one.name] = value
        for name, texts in self._lists.items():
            if found.get(name) is not _FAILED:
                parts = [self._value(one, values, broken, label) for one in texts]
                found[name] = tuple(zip(parts, texts, strict=True)) if name == "references" else tuple(parts)
        path = found.pop("prompt_file", None)
        if path is _FAILED:
            found["prompt"] = _FAILED
        elif path is not None:
            found["prompt"] = self._prompt(path, values, label)
        return found

    def _value(self, one: _Field, values: Mapping[str, Any], broken: set[str], label: str | None) -> Any:
        text, raw = one.text, one.text.text
        try:
            if one.compiled is not None:
                if not broken.isdisjoint(one.compiled.needs):
                    return _FAILED
                raw = self._renderer.render(text, one.compiled, values, label)
            self._owner.spend(raw)
            return self._owner.values.value(one.name, raw, text.layer.folder)
        except Unrendered:
            return _FAILED
        except ValueError as error:
            self._wrong(one.name, text, str(error), label, getattr(error, "hint", None))
            return _FAILED

    def _prompt(self, path: str, values: dict[str, Any], label: str | None) -> Any:
        layer = self._declaration.merged.fields["prompt_file"]
        place = Text("", layer.node.source, layer.node.values_at["prompt_file"], layer)
        try:
            source = self._reading.prompt(path)
        except FileProblem as error:
            message = f'"{shown(self._reading.shown(path))}" {error}'
            self._wrong("prompt_file", place, message, label)
            return _FAILED
        text = Text(source.text, source, None, layer)
        before = len(self._renderer.values) + len(self._renderer.varying)
        compiled = self._renderer.compile(text)
        if compiled is None:
            return _FAILED
        broken = self._renderer.broken
        if before != len(self._renderer.values) + len(self._renderer.varying):
            # The file needs variables that nothing before it needed.
            given = {n: values[n] for n in values if n not in self._renderer.values}
            fresh, broken = self._renderer.item_values(given, label)
            values.update(fresh)
        return self._value(_Field("prompt", text, compiled), values, broken, label)

    def _agree(self, found: Mapping[str, Any], label: str | None) -> None:
        """Report values that contradict each other: size and ratio, transparency and a format without any."""
        alpha = found.get("alpha")
        if alpha is not None and output_format(found["output"]) == "jpeg":
            layer = self._declaration.merged.fields["alpha"]
            place = Text("", layer.node.source, layer.node.values_at["alpha"], layer)
            self._wrong("alpha", place, f'"{found["output"]}" is a JPEG, which has no transparency', label)
        size, ratio = found.get("size"), found.get("ratio")
        if not isinstance(size, Size) or not isinstance(ratio, str) or ratio == "auto":
            return
        width, height = map(int, ratio.split(":"))
        if abs(size.width / size.height * height / width - 1) > _RATIO_TOLERANCE:
            layer = self._declaration.merged.fields["size"]
            other = self._declaration.merged.fields["ratio"]
            where = other.node.source.position(other.node.values_at["ratio"])
            place = Text("", layer.node.source, layer.node.values_at["size"], layer)
            message = f"{size} contradicts the ratio {ratio} at {where}"
            self._wrong("size", place, message, label, "remove one of them")

    def _wrong(self, name: str, text: Text, message: str, label: str | None, hint: str | None = None) -> None:
        chain = self._declaration.layer_chain(text.layer, label)
        self._report.add(text.source, text.at or 0, f"{name}: {message}", chain=chain, hint=hint)

    def _link(self, id_: str, found: dict[str, Any], label: str | None) -> None:
        """Note the references to other images, each at its place, and leave plain references."""
        declaration, links = self._declaration, self._owner.result.links
        listed = () if found.get("references") is _FAILED else found.get("references", ())
        linked = [(r, one.text.source, one.text.at or 0, one.text.layer) for r, one in listed]
        if "mask" in found:
            linked.append((found["mask"], *declaration.field_at("mask")))
        for reference, source, at, layer in linked:
            if isinstance(reference, ImageReference):
                chain = declaration.layer_chain(layer, label)
                links.append(Link(id_, declaration.name, reference.id, source, at, chain))
        for name, parts in (("references", [r for r, _ in listed]), ("tags", found.get("tags", ()))):
            if found.get(name, _FAILED) is not _FAILED:
                found[name] = _FAILED if _FAILED in parts else tuple(dict.fromkeys(parts))

    def _claim(self, id_: str, path: str, label: str | None) -> None:
        layer = self._declaration.merged.fields["output"]
        place = Text("", layer.node.source, layer.node.values_at["output"], layer)
        chain = self._declaration.layer_chain(layer, label)
        self._owner.result.claims.append(Claim(path, f'image "{id_}"', place, chain))

    def _image(self, id_: str, found: dict[str, Any], origin: ImageOrigin) -> Image:
        given = self._declaration.merged.fields
        for flag in _FLAGS:
            if flag in given:
                found[flag] = bool(given[flag].node[flag])
        if "nine_slice" in given:
            found["nine_slice"] = borders(given["nine_slice"].node["nine_slice"])
        if "params" in given:
            found["params"] = plain(given["params"].node["params"])
        if not found.get("negative_prompt", True):
            del found["negative_prompt"]
        provider = found.pop("provider", None) or self._owner.provider(self._declaration)
        return Image(
            id=id_,
            name=self._declaration.name,
            provider=provider,
            origin=origin,
            **found,
        )
