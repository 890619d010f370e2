"""Where work is done that needs no network and costs no money: in this process, or on a fleet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import UsageError
from imgbuild.core.events import Emit, WarningEvent
from imgbuild.providers.base import Provider, ProviderSettings, ProviderType
from imgbuild.run.interruption import Interruption
from imgbuild.run.limits import CONCURRENCY

if TYPE_CHECKING:
    from imgbuild.images.derive import Derived
    from imgbuild.run.workspace import Workspace


class Workplace(Protocol):
    """What a build is given once. Its methods are called from many threads."""

    places: int
    """How many derivations there may be at once."""

    def derive(self, source: Path, recipes: Sequence[Recipe], to: Sequence[Path]) -> list[Derived]:
        """What `imgbuild.images.derive.derive` does, with the same bytes.

        Raises as that does, and ImgbuildError where the place itself fails.
        """
        ...

    def connect(self, kind: ProviderType, settings: ProviderSettings) -> Provider:
        """The provider of a type, as it is configured."""
        ...

    def concurrency(self, kind: ProviderType, settings: ProviderSettings) -> int:
        """How many generations a provider has in flight at once, where the manifest does not say."""
        ...


class Here:
    """This process."""

    def __init__(self) -> None:
        # libvips uses one thread a picture.
        self.places = os.cpu_count() or 2

    def derive(self, source: Path, recipes: Sequence[Recipe], to: Sequence[Path]) -> list[Derived]:
        """Make the files, in the caller's thread."""
        # libvips is loaded where there are pixels to make, and not by every plan.
        from imgbuild.images.derive import derive

        return derive(source, recipes, to)

    def connect(self, kind: ProviderType, settings: ProviderSettings) -> Provider:
        """The type's own provider."""
        return kind.connect(settings)

    def concurrency(self, kind: ProviderType, settings: ProviderSettings) -> int:
        """The usual."""
        return CONCURRENCY


@dataclass(frozen=True, slots=True)
class NamedFleet:
    """A scheduler that somebody has named."""

    address: str
    by_user: bool
    """Not only by the manifest, which may be a stranger's."""


def declared_fleet(workspace: Workspace) -> NamedFleet | None:
    """The scheduler that the manifest names; none where nothing may be asked of the network."""
    declared = workspace.project.manifest.dask
    if declared is None or workspace.invocation.offline:
        return None
    return NamedFleet(declared.address, by_user=False)


@contextmanager
def opened(
    fleet: NamedFleet | None, workspace: Workspace, wish: Interruption, emit: Emit
) -> Iterator[Workplace]:
    """The place of a build: a fleet that is connected and was checked, or this process.

    Raises:
        UsageError: the extra for fleets is not installed.
        FleetError: the fleet cannot be used.
    """
    if fleet is None:
        yield Here()
        return
    if find_spec("distributed") is None:
        raise UsageError("a Dask cluster needs an extra", remedy="pip install 'imgbuild[dask]'")
    from imgbuild.run.fleet import Fleet

    joined = Fleet.join(fleet.address, workspace, wish)
    try:
        yield joined
    finally:
        for words in joined.close():
            emit(WarningEvent(words))
