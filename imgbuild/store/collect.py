"""Garbage collection: which blobs to remove, so that what was paid for goes last and kept ones never."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from imgbuild.store.blobs import Blobs
from imgbuild.store.encoding import Kept
from imgbuild.store.records import Records
from imgbuild.store.sidecars import read_sidecars, remove_sidecar

Kind = Literal["output", "result", "other"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A blob that could go. `free`: it can be made again from what stays, without paying."""

    digest: str
    bytes: int
    modified: float
    """Seconds since the epoch."""
    free: bool
    kind: Kind = "other"
    image_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """A blob that was removed, or would be. `age` in seconds; `image_ids` are those of its results."""

    digest: str
    bytes: int
    age: float
    kind: Kind
    image_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GcReport:
    """What garbage collection removed, or would remove, in order, and the bytes that stay."""

    removed: tuple[Removed, ...]
    kept_blobs: int
    kept_bytes: int
    dry_run: bool

    @property
    def freed_bytes(self) -> int:
        """The sum of what was removed."""
        return sum(one.bytes for one in self.removed)


def choose(
    candidates: Iterable[Candidate],
    *,
    keep: Collection[str],
    max_bytes: int | None,
    max_age_seconds: float | None,
    now: float,
) -> tuple[Candidate, ...]:
    """What to remove: everything too old, and then, oldest first, as much as is over the size.

    Free ones go before any other. A digest in `keep` is never chosen. None means no bound.
    """
    everything = tuple(candidates)
    kept = frozenset(keep)
    left = sum(one.bytes for one in everything)
    chosen = []
    for one in sorted(everything, key=lambda one: (not one.free, one.modified, one.digest)):
        too_old = max_age_seconds is not None and now - one.modified > max_age_seconds
        too_much = max_bytes is not None and left > max_bytes
        if one.digest not in kept and (too_old or too_much):
            chosen.append(one)
            left -= one.bytes
    return tuple(chosen)


def candidates(blobs: Blobs, records: Records) -> tuple[Candidate, ...]:
    """Every blob with what is known about it. Raises StorageError."""
    entries = tuple(blobs.entries())
    present = {entry.digest for entry in entries}
    image_ids: dict[str, set[str]] = defaultdict(set)
    for result in records.all_results():
        image_ids[result.digest].add(result.image_id)
    sources: dict[str, set[str]] = defaultdict(set)
    for output in records.all_outputs():
        sources[output.digest].add(output.source)
    pinned = {pin.digest for pin in records.all_pins()}

    def candidate(digest: str, size: int, modified: float) -> Candidate:
        # A pinned reference may be another picture when it is fetched again, and what nobody recorded
        # may be a person's own file: neither is free.
        derived = digest in sources and digest not in image_ids and digest not in pinned
        kind: Kind = "result" if digest in image_ids else "output" if derived else "other"
        free = derived and not sources[digest].isdisjoint(present - {digest})
        return Candidate(digest, size, modified, free, kind, tuple(sorted(image_ids.get(digest, ()))))

    return tuple(candidate(entry.digest, entry.bytes, entry.modified) for entry in entries)


def remove(blobs: Blobs, records: Records, digests: Collection[str]) -> None:
    """Remove blobs with their records and sidecars, so that no record ever names an absent blob.

    Raises StorageError.
    """
    gone = frozenset(digests)
    if not gone:
        return
    recorded: list[Kept] = [*records.all_results(), *records.all_outputs(), *records.all_pins()]
    records.drop(one for one in recorded if one.digest in gone)
    for one in [one for one in read_sidecars(blobs) if one.digest in gone]:
        remove_sidecar(blobs, one)
    for digest in gone:
        blobs.remove(digest)
