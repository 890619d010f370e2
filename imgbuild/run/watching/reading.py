"""Reading a project again and again: what is as it was the last time is not read or understood anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imgbuild.core.image import FileReference
from imgbuild.core.lock import Lock, parse_lock
from imgbuild.core.plan.action import Plan
from imgbuild.run.observed import Observed
from imgbuild.run.open_jobs import settle_all
from imgbuild.run.planning import plan_workspace
from imgbuild.run.weights import with_weights
from imgbuild.run.workspace import Invocation, Loaded, Workspace, cache_dir, load, open_shared
from imgbuild.store.cache import Cache, open_cache
from imgbuild.store.index import NO_DIGEST, Seen
from imgbuild.store.lockfile import read_text

if TYPE_CHECKING:
    from imgbuild.run.shared_cache import SharedCache


class Reader:
    """Reads one project for one session. The caches stay those of the first plan."""

    def __init__(self, invocation: Invocation, targets: Sequence[str]) -> None:
        self._invocation = invocation
        self._targets = targets
        self._seen: Mapping[str, Seen] = {}
        self._lock: tuple[str | None, Lock] = (None, Lock())
        self._cache: Cache | None = None
        self.shared: SharedCache | None = None
        """The shared cache, if there is one. Whoever ends the session closes it."""
        self.lock = invocation.lock_path.name
        """The lock's name."""

    def observe(self) -> Observed:
        """Where the next reading is noted, with what is known from those before."""
        invocation = self._invocation
        return Observed(invocation.root, invocation.manifest, invocation.profile, self._seen)

    def remember(self, observed: Observed) -> None:
        """Know what was noted from now on."""
        self._seen = {**self._seen, **observed.seen}

    def lock_digest(self, observed: Observed) -> bytes:
        """What was noted of the lock."""
        return observed.seen.get(self.lock, (None, NO_DIGEST))[1]

    def load(self, observed: Observed) -> Loaded:
        """The manifest, checked, and the lock looked at.

        Raises:
            ManifestError: with every error that was found.
            LockfileError: a lock that cannot be read.
            UsageError: a profile that does not exist.
        """
        observed.look(".env")
        observed.look(self.lock)
        loaded = load(self._invocation, observed)
        self._read_lock()
        return loaded

    def plan(self, loaded: Loaded) -> tuple[Workspace, Plan]:
        """What is to be done, by the lock as it is now.

        Raises:
            LockfileError: a lock that cannot be read.
            UsageError: a target that means no image; or the shared cache lacks a variable or a package.
            StorageError: the cache cannot be used.
        """
        loaded.observed.look(self.lock)
        if self._cache is None:
            cache = open_cache(cache_dir(self._invocation, loaded.project))
            settle_all(cache)
            self.shared = open_shared(self._invocation, loaded.project, cache)
            self._cache = cache
        lock = self._read_lock()
        workspace = Workspace(
            self._invocation,
            loaded.project,
            loaded.types,
            with_weights(loaded, lock),
            lock,
            self._invocation.lock_path,
            self._cache,
            loaded.observed,
            self.shared,
        )
        return workspace, plan_workspace(workspace, self._targets)

    def _read_lock(self) -> Lock:
        text = read_text(self._invocation.lock_path)
        if text != self._lock[0]:
            shown = self._invocation.shown(self.lock)
            self._lock = (text, Lock() if text is None else parse_lock(text, shown))
        return self._lock[1]


def files_read(workspace: Workspace) -> frozenset[str]:
    """The files that decide about images: what was read for the manifest, and what images refer to."""
    images = workspace.project.images
    references = (reference for image in images for reference in (*image.references, image.mask))
    paths = (reference.path for reference in references if isinstance(reference, FileReference))
    return frozenset((*paths, *workspace.project.inputs))
