"""An opened project: the manifest loaded and resolved, the lock read, the cache at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild import __version__
from imgbuild.core.errors import ManifestError
from imgbuild.core.lock import Lock, lock_name, parse_lock
from imgbuild.core.manifest.load import load_project
from imgbuild.core.manifest.model import CacheConfig
from imgbuild.core.manifest.project import Project
from imgbuild.core.manifest.recall import Memory
from imgbuild.core.plan.resolve import Resolved
from imgbuild.providers.base import ProviderType
from imgbuild.run.collector import collector_paused
from imgbuild.run.facts import DiskFacts
from imgbuild.run.files import DiskFiles
from imgbuild.run.observed import Observed
from imgbuild.run.resolution import provider_types, resolve_images
from imgbuild.run.weights import with_weights
from imgbuild.store.cache import Cache, default_cache_dir, open_cache
from imgbuild.store.lockfile import read_text
from imgbuild.store.remembered import Remembered

if TYPE_CHECKING:
    from imgbuild.run.shared_cache import SharedCache


@dataclass(frozen=True, slots=True)
class Invocation:
    """Where imgbuild was called, and how."""

    root: Path
    """The manifest's folder."""
    manifest: str = "imgbuild.yaml"
    profile: str | None = None
    placeholder: bool = False
    """Every image is a placeholder card, and no lock is written."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    display_root: str = ""
    """Prefix for file names in messages: the root, relative to the current directory."""
    offline: bool = False
    """Nothing is asked of the network."""
    require_remote: bool = False
    """A shared cache that cannot be used is an error."""

    @property
    def lock_path(self) -> Path:
        """The profile's lock."""
        return self.root / lock_name(self.profile)

    def shown(self, name: str) -> str:
        """A file of the project as messages name it."""
        return f"{self.display_root.rstrip('/')}/{name}" if self.display_root else name


@dataclass(frozen=True, slots=True)
class Loaded:
    """A manifest without an error: its images, each with what its provider is asked for."""

    invocation: Invocation
    project: Project
    types: Mapping[str, ProviderType]
    """By provider name, as configured."""
    resolved: tuple[Resolved, ...]
    observed: Observed


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything that planning and building work on."""

    invocation: Invocation
    project: Project
    types: Mapping[str, ProviderType]
    """By provider name, as configured."""
    resolved: tuple[Resolved, ...]
    lock: Lock
    lock_path: Path
    cache: Cache
    observed: Observed
    shared: SharedCache | None = None

    def facts(self) -> DiskFacts:
        """What the planner asks for, as it is now."""
        if self.shared is None:
            return DiskFacts(self.invocation.root, self.cache, self.observed)
        return self.shared.facts(self.invocation.root, self.observed)


@collector_paused()
def load(invocation: Invocation, observed: Observed | None = None) -> Loaded:
    """Read and check the manifest, and what its providers can do; nothing else is opened.

    `observed`: where to note what is read, also if it comes to nothing.

    Raises:
        ManifestError: with every error that was found.
    """
    kept = Remembered(
        invocation.root,
        f"entries-{invocation.manifest}-{invocation.profile or ''}",
        __version__,
        invocation.environ,
    )
    memory = Memory(kept.read())
    observed = observed or Observed(invocation.root, invocation.manifest, invocation.profile)
    try:
        loaded = _load(invocation, memory, observed)
    except ManifestError:
        if not memory.used:
            raise
        # With everything read, each error has its right place.
        memory.forget()
        loaded = _load(invocation, memory, observed)
    value = memory.value()
    if value is not None:
        kept.keep(value)
    return loaded


def _load(invocation: Invocation, memory: Memory, observed: Observed) -> Loaded:
    project = load_project(
        invocation.manifest,
        DiskFiles(invocation.root, observed),
        profile=invocation.profile,
        display_root=invocation.display_root,
        memory=memory,
    )
    types, wrong_types = provider_types(project)
    resolved, diagnostics = resolve_images(project, types, placeholder=invocation.placeholder)
    if wrong_types or diagnostics:
        raise ManifestError([*wrong_types, *diagnostics])
    return Loaded(invocation, project, types, resolved, observed)


def open_workspace(invocation: Invocation) -> Workspace:
    """Load the manifest, read the lock, find the cache.

    Raises:
        ManifestError: with every error that was found.
        LockfileError: a lock that cannot be read.
        StorageError: the cache cannot be used.
    """
    loaded = load(invocation)
    lock = read_lock(invocation)
    cache = open_cache(cache_dir(invocation, loaded.project))
    return Workspace(
        invocation,
        loaded.project,
        loaded.types,
        with_weights(loaded, lock),
        lock,
        invocation.lock_path,
        cache,
        loaded.observed,
        open_shared(invocation, loaded.project, cache),
    )


def open_shared(invocation: Invocation, project: Project, cache: Cache) -> SharedCache | None:
    """The shared cache beside a local one, where the manifest has one and it may be used.

    Raises:
        UsageError: its settings lack a variable or a package.
    """
    return open_declared(invocation, project.manifest.cache, cache)


def open_declared(invocation: Invocation, config: CacheConfig | None, cache: Cache) -> SharedCache | None:
    """The same for settings alone."""
    if config is None or config.remote is None or invocation.placeholder or invocation.offline:
        return None
    from imgbuild.run.shared_cache import SharedCache
    from imgbuild.run.shared_settings import shared_settings

    settings = shared_settings(
        config, config.remote, invocation.root, invocation.environ, required=invocation.require_remote
    )
    return SharedCache(cache, settings)


def read_lock(invocation: Invocation) -> Lock:
    """The lock, empty if there is none yet.

    Raises:
        LockfileError: it is there and cannot be read.
    """
    text = read_text(invocation.lock_path)
    return Lock() if text is None else parse_lock(text, invocation.shown(invocation.lock_path.name))


def cache_dir(invocation: Invocation, project: Project | None) -> Path:
    """The cache's folder: the environment's word, then the manifest's, then the user's own."""
    return cache_folder(
        invocation, project.manifest.cache.dir if project and project.manifest.cache else None
    )


def cache_folder(invocation: Invocation, configured: str | None) -> Path:
    """The same for a `cache.dir` as the manifest has it."""
    if configured and not invocation.environ.get("IMGBUILD_CACHE_DIR"):
        return (invocation.root / Path(configured).expanduser()).resolve()
    return default_cache_dir(invocation.environ)
