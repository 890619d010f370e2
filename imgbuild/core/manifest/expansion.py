"""What comes of expanding a manifest's declarations, before the whole is checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgbuild.core.image import Image
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.texts import Text


@dataclass(frozen=True, slots=True)
class Claim:
    """A path that will be written, and by what."""

    path: str
    owner: str
    place: Text
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A reference from one image to another, as written: `target` may lack its namespace."""

    owner: str
    name: str
    """The owner's declaration."""
    target: str
    source: Source
    at: int
    chain: tuple[str, ...]


@dataclass(slots=True)
class Expansion:
    """What came of all declarations so far."""

    images: list[Image] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    by_name: dict[str, list[str]] = field(default_factory=dict)
    """Every declaration's name with its ids, without the disabled ones."""
    failed: set[str] = field(default_factory=set)
    """Names of declarations whose ids are not known because something is wrong with them."""
    including: set[str] = field(default_factory=set)
    """Names of declarations whose templates include files."""
