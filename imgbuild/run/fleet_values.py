"""What travels between a build and a fleet's workers: values; no key, no variable, no project's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgbuild.core.errors import BadImageError, FailureKind, ImgbuildError, ProviderFailure, StorageError
from imgbuild.core.image import Json

if TYPE_CHECKING:
    from imgbuild.images.derive import Derived

Versions = Mapping[str, str]
"""What decides the bytes that a process makes, by name: imgbuild's release, the encoders, and a sample."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A local engine as a manifest configures it, without anything that could be a secret."""

    type: str
    options: str
    """The provider's own members in the manifest, as JSON."""
    engine: str | None
    """Its name and version as they stand in the key: what another version makes is another picture."""
    name: str
    root: str
    """The project's folder, where programs are run."""
    timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """A shared cache that a worker may read, with credentials of its own."""

    address: str
    auth: str | None
    """`${NAME}`, as the manifest has it: the variable is the worker's."""
    timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file's bytes, and the SHA-256 that they had where they were made."""

    data: bytes = field(repr=False)
    digest: str


@dataclass(frozen=True, slots=True)
class Made:
    """Derived files, in the order of their recipes."""

    pieces: tuple[Piece, ...]
    facts: tuple[Derived, ...]


@dataclass(frozen=True, slots=True)
class Generated:
    """The pictures of one request, in order, and what the engine said about them."""

    pieces: tuple[Piece, ...]
    usage: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class NotFetched:
    """The worker could not have the bytes from the shared cache; the words say why."""

    words: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An expected error on a worker. Exceptions with members of their own do not survive the way."""

    message: str
    remedy: str | None
    kind: FailureKind | None = None
    image: bool = False
    """The bytes or the recipe are at fault, not the worker."""
    storage: bool = False

    @classmethod
    def of(cls, error: ImgbuildError) -> Failed:
        """What is told of an error."""
        return cls(
            error.message,
            error.remedy,
            error.kind if isinstance(error, ProviderFailure) else None,
            image=isinstance(error, BadImageError),
            storage=isinstance(error, StorageError),
        )

    def error(self) -> ImgbuildError:
        """The error, as it would have been here."""
        if self.kind is not None:
            return ProviderFailure(self.kind, self.message, remedy=self.remedy)
        if self.image:
            return BadImageError(self.message, remedy=self.remedy)
        return (StorageError if self.storage else ImgbuildError)(self.message, remedy=self.remedy)
