"""The facts that the planner asks for, read from disk and cache."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from imgbuild.core.image import FileReference, UrlReference
from imgbuild.core.jobs import OpenJob
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.run.observed import Observed
from imgbuild.store.cache import Cache
from imgbuild.store.fsio import digest_file

SYMLINK = "a symbolic link"
NOT_A_FILE = "not a file"


class DiskFacts:
    """Reads what is asked; a file whose status has not changed since a run saw it is not read again."""

    def __init__(self, root: Path, cache: Cache, observed: Observed) -> None:
        self._root = root
        self._cache = cache
        self._observed = observed

    def reference(self, reference: FileReference | UrlReference) -> str | None:
        """The digest of a file, or the pinned digest of a URL."""
        if isinstance(reference, UrlReference):
            return self._cache.records.pin(reference.url)
        return self._observed.digest(reference.path)

    def result(self, key: str, take: int) -> StoredResult | None:
        """A recorded result."""
        return self._cache.records.result(key, take)

    def generation_keys(self, declared_key: str) -> Sequence[str]:
        """The keys of results that were declared so."""
        return self._cache.records.by_declared(declared_key)

    def outputs(self, recipe_key: str) -> Sequence[StoredOutput]:
        """What a recipe is known to give."""
        return tuple(self._cache.records.outputs(recipe_key).values())

    def made_by(self, digest: str) -> Sequence[str]:
        """The recipes by which an output with these bytes was ever derived here."""
        return self._cache.records.made_by(digest)

    def blob(self, digest: str) -> bool:
        """Whether the cache has these bytes."""
        return self._cache.blobs.has(digest)

    def quarantined(self, digest: str) -> bool:
        """Whether these bytes were found corrupt."""
        return self._cache.blobs.was_corrupt(digest)

    def open_jobs(self, key: str) -> Sequence[OpenJob]:
        """What the journal has of a key."""
        return self._cache.journal.open_jobs(key)

    def on_disk(self, path: str) -> str | None:
        """The digest of what lies at an output's path now."""
        return digest_output(f"{self._root}/{path}", lambda now: self._observed.digest(path, now))

    def unsigned(self, digest: str, path: str) -> bool:
        """Whether these bytes are at hand and hold no content credentials."""
        file = self._root / path if self.on_disk(path) == digest else self._cache.blobs.path(digest)
        from imgbuild.images.read_credentials import holds_credentials

        return holds_credentials(file) is False

    def encoder(self, format: str) -> str:
        """Today's encoder of a format. Loads libvips, so it is asked only where something was derived."""
        from imgbuild.images.encode import encoder

        return encoder(format)


def digest_output(path: str | Path, digest: Callable[[os.stat_result], str] | None = None) -> str | None:
    """The digest of an output file; a word that no digest can be for a link or a folder; None if absent.

    `digest`: how to have it from a regular file's status, where not by reading it. Raises StorageError.
    """
    try:
        now = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # Also where the system has no name for it, in a locale that lacks its letters.
        return None
    if stat.S_ISLNK(now.st_mode):
        return SYMLINK
    if not stat.S_ISREG(now.st_mode):
        return NOT_A_FILE
    return digest(now) if digest else digest_file(Path(path))
