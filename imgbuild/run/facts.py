"""The facts that the planner asks for, read from disk and cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgbuild.core.image import FileReference, UrlReference
from imgbuild.core.jobs import OpenJob
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.store.cache import Cache
from imgbuild.store.fsio import digest_file

SYMLINK = "a symbolic link"
NOT_A_FILE = "not a file"


class DiskFacts:
    """Reads what is asked. File digests are remembered for as long as this object lives."""

    def __init__(self, root: Path, cache: Cache) -> None:
        self._root = root
        self._cache = cache
        self._digests: dict[str, str] = {}

    def reference(self, reference: FileReference | UrlReference) -> str | None:
        """The digest of a file, or the pinned digest of a URL."""
        if isinstance(reference, UrlReference):
            return self._cache.records.pin(reference.url)
        if reference.path not in self._digests:
            self._digests[reference.path] = digest_file(self._root / reference.path)
        return self._digests[reference.path]

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
        return digest_output(self._root / path)

    def encoder(self, format: str) -> str:
        """Today's encoder of a format. Loads libvips, so it is asked only where something was derived."""
        from imgbuild.images.encode import encoder

        return encoder(format)


def digest_output(path: Path) -> str | None:
    """The digest of an output file; a word that no digest can be for a link or a folder; None if absent."""
    if path.is_symlink():
        return SYMLINK
    if path.is_file():
        return digest_file(path)
    return NOT_A_FILE if path.exists() else None
