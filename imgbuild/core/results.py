"""What the cache knows: a generated result per key and take, and the files derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgbuild.core.image import Json


@dataclass(frozen=True, slots=True)
class StoredResult:
    """Take `take` of generation key `key`: paid for once, kept for ever."""

    key: str
    take: int
    """From 1."""
    digest: str
    """SHA-256 of the master, the blob's name."""
    format: str
    width: int
    height: int
    bytes: int
    spec: Mapping[str, Json]
    """The spec's set fields, so that a later key can be compared field by field."""
    provider: str
    """The provider's type."""
    image_id: str
    """The image that it was generated for; for people, never for look-up."""
    created: str
    """ISO 8601, UTC."""
    model: str | None = None
    declared: tuple[str, ...] = ()
    """Keys of the same spec with the geometry as the manifest declared it: the second way to find it."""
    cost: float | None = None
    unit: str | None = None
    usage: Mapping[str, Json] = field(default_factory=dict)
    """What the service reported (tokens or units)."""
    adopted: bool = False
    """A person's file, accepted as the image."""


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """A file derived from a source blob by a recipe, with the encoder that made it."""

    recipe_key: str
    """Source digest and operations, without the encoder's version."""
    encoder: str
    """E.g. "libvips 8.18.7 png"; recipe key + encoder is the derivation key."""
    source: str
    digest: str
    format: str
    width: int
    height: int
    bytes: int
