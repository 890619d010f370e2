"""The cache's own check: every blob hashed, every record held against the blobs and the sidecars."""

from __future__ import annotations

import stat
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imgbuild.core.errors import StorageError
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.store.blobs import BlobEntry, Blobs, CorruptBlob, MissingBlob
from imgbuild.store.encoding import Kept, Pin
from imgbuild.store.fsio import digest_file, storage_errors
from imgbuild.store.records import Records
from imgbuild.store.sidecars import read_sidecars


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A blob whose bytes do not hash to its name; `moved_to` is set once it is in quarantine."""

    digest: str
    image_ids: tuple[str, ...]
    moved_to: Path | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A record that names a blob which is not there. A repair drops it, or the next build fetches it."""

    kind: str
    """result, output or pin."""
    name: str
    """The image's id, the recipe key, or the URL."""
    digest: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What the check found. `rebuilt` counts sidecars whose record was missing (put back by a repair)."""

    blobs: int
    bytes: int
    corrupt: tuple[Corrupt, ...]
    lost: tuple[Lost, ...]
    rebuilt: int
    repaired: bool

    @property
    def ok(self) -> bool:
        """Nothing is damaged or lost."""
        return not self.corrupt and not self.lost


def find_corrupt(blobs: Blobs, entries: tuple[BlobEntry, ...]) -> tuple[str, ...]:
    """Hash blobs, several at a time, and name those that are damaged. Raises StorageError."""

    def damaged(entry: BlobEntry) -> bool:
        path = blobs.path(entry.digest)
        try:
            with storage_errors("read", path):
                plain = stat.S_ISREG(path.lstat().st_mode)
            # Nothing else is opened: a pipe would wait for its other end.
            return not plain or digest_file(path) != entry.digest
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise

    with ThreadPoolExecutor() as pool:
        verdicts = pool.map(damaged, entries)
        return tuple(entry.digest for entry, bad in zip(entries, verdicts, strict=True) if bad)


def quarantine(blobs: Blobs, digests: tuple[str, ...]) -> dict[str, Path]:
    """Move damaged blobs away, after one more look: a blob may have been replaced by good bytes since.

    Returns the new paths by digest. Raises StorageError.
    """
    moved = {}
    for digest in digests:
        try:
            blobs.verified(digest)
        except MissingBlob:
            continue
        except CorruptBlob as corrupt:
            moved[digest] = corrupt.moved_to
    return moved


def find_lost(blobs: Blobs, records: Records) -> tuple[Kept, ...]:
    """The records that name an absent blob. Raises StorageError.

    A result whose damaged bytes are in quarantine is none of them: its record is what tells a build that
    the image was paid for, so that it is not paid for again without a word.
    """
    corrupt = blobs.corrupt_digests()
    recorded: list[Kept] = [*records.all_results(), *records.all_outputs(), *records.all_pins()]
    absent = (one for one in recorded if not blobs.has(one.digest))
    return tuple(one for one in absent if one.digest not in corrupt or not isinstance(one, StoredResult))


def can_be_fetched(kept: Kept) -> bool:
    """Whether the task that gave a lost result is known: the next build asks its service for it, free."""
    return isinstance(kept, StoredResult) and kept.task is not None


def find_unrecorded(blobs: Blobs, records: Records) -> tuple[Kept, ...]:
    """What only the sidecars know: nothing else is recorded in its place. Raises StorageError."""

    def recorded(one: Kept) -> bool:
        match one:
            case StoredResult():
                return records.result(one.key, one.take) is not None
            case StoredOutput():
                return one.encoder in records.outputs(one.recipe_key)
            case Pin():
                return records.pin(one.url) is not None

    return tuple(one for one in read_sidecars(blobs) if not recorded(one))


def image_ids(records: Records) -> dict[str, tuple[str, ...]]:
    """The ids of the images whose results have a digest, by digest. Raises StorageError."""
    found: dict[str, set[str]] = defaultdict(set)
    for result in records.all_results():
        found[result.digest].add(result.image_id)
    return {digest: tuple(sorted(ids)) for digest, ids in found.items()}


def describe(kept: Kept) -> Lost:
    """A lost record, for people."""
    match kept:
        case StoredResult():
            return Lost("result", kept.image_id, kept.digest)
        case StoredOutput():
            return Lost("output", kept.recipe_key, kept.digest)
        case Pin():
            return Lost("pin", kept.url, kept.digest)
