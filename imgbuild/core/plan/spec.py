"""The generation spec: exactly what decides the picture, its canonical bytes and its keys.

Three keys lead to a result. The *generation key* carries the geometry that was asked of the service; the
*declared key* carries what the image's author wrote (size, ratio, resolution), so that another gateway
with other sizes still finds what was paid for; the *picture key* carries no geometry, and leads to the
other shapes that the same picture was paid for in.

The encoding is versioned. A later recipe may add members, but every earlier recipe stays in `RECIPES`
and its keys are still looked up: an upgrade never costs money. Golden tests pin today's bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from imgbuild.core.image import Json, Size


@dataclass(frozen=True, slots=True)
class Geometry:
    """A shape as asked or as declared: a size, or a ratio and a resolution; unset members stay unset."""

    size: Size | None = None
    ratio: str | None = None
    resolution: str | None = None

    def members(self) -> dict[str, Json]:
        """The set members, by the manifest's field names."""
        members: dict[str, Json] = {}
        if self.size is not None:
            members["size"] = str(self.size)
        if self.ratio is not None:
            members["ratio"] = self.ratio
        if self.resolution is not None:
            members["resolution"] = self.resolution
        return members


_OPTIONAL = ("model", "negative_prompt", "quality", "background", "seed", "mask", "engine")


@dataclass(frozen=True, slots=True)
class Spec:
    """What decides the picture. Nothing about where it goes, what it costs or who makes it."""

    prompt: str
    asked: Geometry = field(default_factory=Geometry)
    declared: Geometry = field(default_factory=Geometry)
    model: str | None = None
    negative_prompt: str | None = None
    quality: str | None = None
    background: str | None = None
    seed: int | None = None
    params: Mapping[str, Json] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    """Content digests, in order."""
    mask: str | None = None
    """Content digest."""
    engine: str | None = None
    """A local engine's name and version."""

    def members(self) -> dict[str, Json]:
        """The set members besides the geometry, by the manifest's field names."""
        members: dict[str, Json] = {"prompt": self.prompt}
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                members[name] = value
        if self.params:
            members["params"] = dict(self.params)
        if self.references:
            members["references"] = list(self.references)
        return members

    def record(self) -> dict[str, Json]:
        """Everything, for the result's record: a later spec is compared with it field by field."""
        return {**self.members(), "asked": self.asked.members(), "declared": self.declared.members()}


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Written:
    """A spec's parts as canonical JSON, written once: its keys share most of them."""

    members: Mapping[str, str]
    """Those besides the geometry, by name."""
    asked: str
    declared: str


def write(spec: Spec) -> Written:
    """A spec's parts as canonical JSON."""
    return Written(
        _texts(spec.members()),
        _object(_texts(spec.asked.members())),
        _object(_texts(spec.declared.members())),
    )


def _texts(members: Mapping[str, Json]) -> dict[str, str]:
    return {name: _CANONICAL.encode(value) for name, value in members.items()}


def _object(texts: Mapping[str, str]) -> str:
    # The names are those of fields: plain ASCII.
    return "{" + ",".join([f'"{name}":{texts[name]}' for name in sorted(texts)]) + "}"


def _encode(domain: str, version: int, texts: Mapping[str, str]) -> bytes:
    """Canonical bytes: a header line that names what is encoded, then JSON.

    Sorted, without spaces, ASCII only, no NaN: one to one with the members, since JSON tells true from 1
    from 1.0 and every member is present exactly when it is set.
    """
    return f"imgbuild/{domain}/{version}\n{_object(texts)}".encode()


def _generation_1(spec: Written) -> bytes:
    return _encode("generation", 1, {**spec.members, "asked": spec.asked})


def _declared_1(spec: Written) -> bytes:
    return _encode("declared", 1, {**spec.members, "declared": spec.declared})


def _picture_1(spec: Written) -> bytes:
    return _encode("picture", 1, spec.members)


@dataclass(frozen=True, slots=True)
class KeyRecipe:
    """One version of the encodings."""

    generation: Callable[[Written], bytes]
    declared: Callable[[Written], bytes]
    picture: Callable[[Written], bytes]


RECIPES: tuple[KeyRecipe, ...] = (KeyRecipe(_generation_1, _declared_1, _picture_1),)
"""Newest first. Entries are added, never changed or removed."""


@dataclass(frozen=True, slots=True)
class Keys:
    """SHA-256 keys of a spec under every recipe, newest first: look-ups try them in this order."""

    generation: tuple[str, ...]
    declared: tuple[str, ...]
    picture: tuple[str, ...]
    """Without any geometry: leads to the same picture in other shapes."""

    @property
    def current(self) -> str:
        """The generation key under which a new result is recorded."""
        return self.generation[0]


def keys(spec: Spec) -> Keys:
    """The keys by which a spec's results are found."""
    written = write(spec)
    return Keys(
        generation=tuple([hashlib.sha256(one.generation(written)).hexdigest() for one in RECIPES]),
        declared=tuple([hashlib.sha256(one.declared(written)).hexdigest() for one in RECIPES]),
        picture=tuple([hashlib.sha256(one.picture(written)).hexdigest() for one in RECIPES]),
    )
