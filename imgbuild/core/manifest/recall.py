"""What the entries of a manifest were expanded to the last time: only the edited ones are read again.

An entry is remembered by its text, together with the text of everything that is no entry, if it depends on
nothing else: no files, no other entry, no anchor. Where anything is wrong, or not plain enough to be told
for certain, the whole manifest is read as if nothing were remembered. So this saves time and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from imgbuild.core.errors import Place
from imgbuild.core.image import Image, Json, Size
from imgbuild.core.manifest.entries import Shape, digest, shape_of, shares
from imgbuild.core.manifest.expand import MAX_IMAGES, MAX_TEXT
from imgbuild.core.manifest.expansion import Claim, Expansion
from imgbuild.core.manifest.layers import Layer
from imgbuild.core.manifest.origin import Declaration
from imgbuild.core.manifest.reading import Reading
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.texts import Text
from imgbuild.core.manifest.yaml12 import Map, Node, parse_yaml

_OUTSIDE = ("prompt_file", "foreach", "references", "mask")
"""Fields by which an entry depends on files or on other entries."""
_ORIGIN = ("derive",)
"""Fields that are rendered later, from the entry itself."""
_LEFT_OUT = ("id", "name", "origin", "references", "mask", "derive")
_MEMBERS = tuple(
    (f.name, f.default_factory() if f.default_factory is not MISSING else f.default)
    for f in fields(Image)
    if f.name not in _LEFT_OUT
)
_TUPLES = frozenset({"size", "tags", "nine_slice"})
"""The members that are lists in JSON."""
LEAST = 100
_FEW = 4
"""One in so many entries may be new: with more, remembering saves nothing worth having."""


class NotRecalled(Exception):
    """What is remembered cannot be used: the manifest has to be read as a whole."""


@dataclass(frozen=True, slots=True)
class EntryOrigin:
    """A remembered image's origin: its entry. Places of fields are not remembered."""

    source: Source
    at: int
    chain: tuple[str, ...]

    def place(self, field: str) -> Place:
        """The place of the entry, for every field."""
        position = self.source.position(self.at)
        return Place(position, self.chain, self.source.line(position.line))

    def entry_place(self, field: str, index: int) -> Place:
        """The place of the entry: what has lists of files is not remembered."""
        return self.place(f"{field}[{index}]")


class Memory:
    """What was remembered, and what is to be remembered for the next time.

    `least`: a manifest with fewer entries is read faster than what is remembered of it.
    """

    def __init__(self, value: object = None, *, least: int = LEAST) -> None:
        self._least = least
        known = value if isinstance(value, dict) else {}
        self._context: object = known.get("context")
        entries = known.get("entries")
        self._entries: Mapping[str, Any] = entries if self._context and isinstance(entries, dict) else {}
        self._next: dict[str, Json] = {}
        self.used = False
        """Images came out of it: what is wrong with them is not known to its place."""

    def recall(self, source: Source, profile: str | None) -> Recalled | None:
        """What is known of this text; None where nothing can be remembered of it at all."""
        shape = shape_of(source.text)
        if shape is None or len(shape.spans) < self._least:
            return None
        context = digest(shape.rest, profile or "", "" if profile is None else "profile")
        digests = {name: digest(shape.entry(name)) for name in shape.spans}
        known: dict[str, Any] = {}
        if context == self._context:
            known = {name: self._entries[key] for name, key in digests.items() if key in self._entries}
        if (len(digests) - len(known)) * _FEW > len(digests):
            known = {}
        if context != self._context:
            self._entries = {}
        self._context = context
        self.used = bool(known)
        return Recalled(self, shape, source, digests, known)

    def forget(self) -> None:
        """Know nothing, as in the beginning."""
        self._context, self._entries, self.used = None, {}, False

    def keep(self, entries: Mapping[str, Json]) -> None:
        """Remember entries, and no others, for the next time."""
        self._next = dict(entries)

    def value(self) -> Json:
        """What is to be remembered, as JSON; None while what was remembered before will do."""
        if len(self._next.keys() - self._entries.keys()) <= (self._least // 2 if self._entries else 0):
            # A few edited entries are read again and again sooner than all of them are written down anew.
            return None
        return {"context": str(self._context), "entries": self._next}


class Recalled:
    """A manifest's text, with what is known of its entries."""

    def __init__(
        self,
        memory: Memory,
        shape: Shape,
        source: Source,
        digests: Mapping[str, str],
        known: Mapping[str, Any],
    ) -> None:
        self._memory = memory
        self._shape = shape
        self._source = source
        self._digests = digests
        self._known = known
        self._sizes: dict[tuple[int, int], Size] = {}
        self._notes: dict[str, Json] = {}

    @property
    def text(self) -> str:
        """What has to be read: known entries are no part of it."""
        return self._shape.without(self._known)

    def agrees(self, root: Node) -> bool:
        """Whether YAML sees the same entries at the same places, each of them whole in its lines.

        Raises NotRecalled where it does not and known ones were left out.
        """
        good = isinstance(root, Map) and self._has_same_entries(root)
        if not good and self._known:
            raise NotRecalled
        return good

    def _has_same_entries(self, root: Map) -> bool:
        new = [name for name in self._shape.spans if name not in self._known]
        images = root.get("images")
        if root.keys_at.get("images") != self._shape.section_at or "include" in root:
            return False
        if not isinstance(images, Map):
            return images is None and not new
        if [*images] != new or images.keys_at != {name: self._shape.place(name) for name in new}:
            return False
        # In front of a comment, an open quote would swallow it: alone, it is an error.
        return not self._known or all(images[name] == self._alone(name) for name in new)

    def _alone(self, name: str) -> object:
        text = f"images:\n{self._shape.entry(name)}"
        root, problems = parse_yaml(Source("", text))
        entries = root.get("images") if isinstance(root, Map) and not problems else None
        return entries.get(name) if isinstance(entries, dict) and len(entries) == 1 else None

    def remember(
        self, declaration: Declaration, expanded: Expansion, images: list[Image], spent: int
    ) -> None:
        """Note what a new entry was expanded to, if that depends on nothing but its text and the context."""
        name, given = declaration.name, declaration.merged.fields
        if (
            name != next(reversed(self._shape.spans))
            and name not in expanded.including
            and name not in expanded.failed
            and given.keys().isdisjoint(_OUTSIDE)
            and given.keys().isdisjoint(_ORIGIN)
            and not shares(self._shape.entry(name))
        ):
            rows: list[Json] = [[image.id, _members(image)] for image in images]
            self._notes[self._digests[name]] = [spent, rows]

    def keep(self) -> None:
        """Let the memory have all of it: nothing was wrong."""
        self._memory.keep(self._notes)

    def join(self, expanded: Expansion, spent: int, reading: Reading) -> None:
        """Add the images of known entries, all in the order of the text.

        Raises NotRecalled for too many, for an output that by now cannot be written, and for what was never
        an image.
        """
        if not self._known:
            return
        new: dict[str, list[Image]] = {}
        for image in expanded.images:
            new.setdefault(image.name, []).append(image)
        by_name: dict[str, list[str]] = {}
        images: list[Image] = []
        where = Text("", self._source, 0, Layer("", Map(), ""))
        for name in self._shape.spans:
            if name not in self._known:
                images += new.get(name, ())
                if name in expanded.by_name:
                    by_name[name] = expanded.by_name[name]
                continue
            self._notes[self._digests[name]] = self._known[name]
            try:
                cost, rows = self._known[name]
                spent += cost
                found = [*self._images(name, rows)]
            except (TypeError, ValueError, AttributeError):
                raise NotRecalled from None
            images += found
            by_name[name] = [image.id for image in found]
            if any(reading.output_problem(image.output) for image in found):
                raise NotRecalled
            expanded.claims += [Claim(image.output, "", where, ()) for image in found]
        if spent > MAX_TEXT or len(images) > MAX_IMAGES:
            raise NotRecalled
        expanded.images = images
        expanded.by_name = by_name

    def _images(self, name: str, rows: Iterable[Any]) -> Iterable[Image]:
        at = self._shape.place(name)
        for id_, members in rows:
            label = id_[len(name) + 1 : -1]
            chain = (f"image {name}", label) if label else (f"image {name}",)
            if not _TUPLES.isdisjoint(members):
                tuples = {member: tuple(members[member]) for member in _TUPLES if member in members}
                members = {**members, **tuples}
                if "size" in tuples:
                    members["size"] = self._size(*tuples["size"])
            yield Image(id=id_, name=name, origin=EntryOrigin(self._source, at, chain), **members)

    def _size(self, width: int, height: int) -> Size:
        # Thousands of images have the same one.
        return self._sizes.setdefault((width, height), Size(width, height))


def _members(image: Image) -> dict[str, Json]:
    """The members that are set, as JSON."""
    members = {name: getattr(image, name) for name, default in _MEMBERS if getattr(image, name) != default}
    if image.size is not None:
        members["size"] = [image.size.width, image.size.height]
    if image.tags:
        members["tags"] = [*image.tags]
    return members
