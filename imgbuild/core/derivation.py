"""What is done to a master to make one output file: pure data, hashed into the derivation key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from imgbuild.core.image import Fit, Json, Size

RECIPE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """From a source blob to one file. Changing it is always free.

    `caption` is drawn by the placeholder's outputs only: the id is no part of a generation key, so
    two images that share a card still show their own names.
    """

    source: str
    """SHA-256 of the master."""
    format: str
    """png, jpeg, webp or avif."""
    size: Size | None = None
    """The file's exact size; None keeps the master's."""
    fit: Fit = "cover"
    caption: str | None = None
    options: Mapping[str, Json] = field(default_factory=dict)
    """Encoder options; empty means imgbuild's defaults."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Provenance to embed besides DigitalSourceType: prompt, model, key."""

    def canonical(self) -> bytes:
        """A versioned encoding, one to one with the recipe: sorted JSON without unset members."""
        members: dict[str, Json] = {"source": self.source, "format": self.format}
        if self.size is not None:
            members["size"] = [self.size.width, self.size.height]
            members["fit"] = self.fit
        if self.caption is not None:
            members["caption"] = self.caption
        if self.options:
            members["options"] = dict(self.options)
        if self.metadata:
            members["metadata"] = dict(self.metadata)
        text = json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return f"imgbuild/derivation/{RECIPE_VERSION}\n{text}".encode()

    def key(self) -> str:
        """SHA-256 over the canonical encoding, without the encoder's version."""
        return hashlib.sha256(self.canonical()).hexdigest()


def derivation_key(recipe_key: str, encoder: str) -> str:
    """SHA-256 that names the exact bytes: the recipe and the encoder with its version."""
    return hashlib.sha256(f"{recipe_key}\n{encoder}".encode()).hexdigest()
