"""What is done to a master to make one output file: pure data, hashed into the derivation key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from imgbuild.core.image import NO_OPERATIONS, Json, Metadata, Operations, Size

RECIPE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """From a source blob to one file. Changing it is always free."""

    source: str
    """SHA-256 of the master."""
    format: str
    """png, jpeg, webp or avif."""
    operations: Operations = NO_OPERATIONS
    options: Mapping[str, Json] = field(default_factory=dict)
    """Encoder options; empty means imgbuild's defaults."""
    metadata: Metadata = "provenance"
    embedded: Mapping[str, str] = field(default_factory=dict)
    """Provenance to embed besides DigitalSourceType: prompt, model, key."""
    signed: int | None = None
    """The issue of the content credentials that it gets; None for none. Signing twice gives other bytes."""

    def canonical(self) -> bytes:
        """A versioned encoding, one to one with the recipe: sorted JSON without unset members."""
        members: dict[str, Json] = {"source": self.source, "format": self.format, **_members(self.operations)}
        if self.options:
            members["options"] = dict(self.options)
        if self.metadata != "provenance":
            members["kept"] = self.metadata
        if self.embedded:
            members["metadata"] = dict(self.embedded)
        if self.signed is not None:
            members["signed"] = self.signed
        text = json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return f"imgbuild/derivation/{RECIPE_VERSION}\n{text}".encode()

    def key(self) -> str:
        """SHA-256 over the canonical encoding, without the encoder's version."""
        return hashlib.sha256(self.canonical()).hexdigest()


def exact_size(operations: Operations) -> Size | None:
    """The finished file's size, where it does not depend on the master."""
    size = operations.size
    if size is None:
        return None
    width, height = size.width + 2 * operations.pad, size.height + 2 * operations.pad
    if operations.pow2:
        width, height = 1 << (width - 1).bit_length(), 1 << (height - 1).bit_length()
    return Size(width, height)


def _members(operations: Operations) -> dict[str, Json]:
    """The operations that are set; `fit` and `focus` only where they have a size to fill."""
    members: dict[str, Json] = {}
    for one in fields(operations):
        value = getattr(operations, one.name)
        if value != one.default and one.name not in ("size", "fit", "focus"):
            members[one.name] = list(value) if isinstance(value, tuple) else value
    if operations.size is not None:
        members["size"] = [operations.size.width, operations.size.height]
        members["fit"] = operations.fit
        if operations.focus is not None and operations.fit == "cover":
            members["focus"] = operations.focus
    return members


def derivation_key(recipe_key: str, encoder: str) -> str:
    """SHA-256 that names the exact bytes: the recipe and the encoder with its version."""
    return hashlib.sha256(f"{recipe_key}\n{encoder}".encode()).hexdigest()
