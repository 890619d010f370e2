"""What a loaded manifest is, and the one seam through which it reads its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from imgbuild.core.collected import AssetsTable, Atlas
from imgbuild.core.credentials import Signing
from imgbuild.core.errors import Place
from imgbuild.core.image import Image

if TYPE_CHECKING:
    # Opening this module for its types costs neither the validator nor the template engine.
    from imgbuild.core.manifest.model import Manifest, ProviderConfig


class FileProblem(Exception):
    """A file that cannot be used; the message is the reason, to stand after the path."""


class ProjectFiles(Protocol):
    """The one seam to the disk. Paths are POSIX and relative to the project, the manifest's folder."""

    def read(self, path: str, limit: int) -> bytes:
        """A file's bytes, at most `limit`. Raises FileProblem."""
        ...

    def glob(self, pattern: str) -> Sequence[str]:
        """Files that match, sorted; `**` is any folders. Hidden folders are skipped."""
        ...

    def problem(self, path: str) -> str | None:
        """Why a referenced file cannot be used; None when it can."""
        ...

    def output_problem(self, path: str) -> str | None:
        """Why a file cannot be written there inside the project; None when it can."""
        ...


@dataclass(frozen=True, slots=True)
class Project:
    """A manifest without errors, expanded."""

    manifest: Manifest
    """With the profile's `budget` in place of its own, and without its `images`."""
    manifest_path: str
    profile: str | None
    images: tuple[Image, ...]
    """In the order of declaration; disabled ones are left out."""
    providers: Mapping[str, ProviderConfig]
    """As written: `${NAME}` is not filled in."""
    order: tuple[str, ...]
    """Ids, referenced images first."""
    inputs: tuple[str, ...]
    """Every file that was read, sorted, relative to the project."""
    globs: tuple[str, ...] = ()
    """Every pattern that was looked up, sorted: a new match changes the project, too."""
    disabled: frozenset[str] = frozenset()
    """Names of images with `enabled: false`: not built, and not forgotten either."""
    type_places: Mapping[str, Place] = field(default_factory=dict)
    """Where each provider's type was written: only the shell knows which types there are."""
    signing: Signing | None = None
    """How outputs are signed, where they are."""
    assets: AssetsTable | None = None
    atlases: tuple[Atlas, ...] = ()
