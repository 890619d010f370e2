"""A request as a dialect words it, before any HTTP library sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as member
from pathlib import Path

from imgbuild.core.image import Json


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file to upload under a form field. `name` is what the service sees, never a local path."""

    field: str
    path: Path
    name: str
    media_type: str
    digest: str = member(default="", compare=False)
    """The SHA-256 that its bytes must have when they are sent, in hex; empty: whatever they are."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: JSON, or a multipart form as soon as there are files."""

    method: str
    path: str
    """Begins with "/" and is put behind the base address, its own path included."""
    body: Mapping[str, Json] | None = None
    files: tuple[FilePart, ...] = ()
    headers: Mapping[str, str] = member(default_factory=dict)
    """More headers of this one request; none that the client sets itself."""
    form: bool = False
    """A multipart form in any case."""
