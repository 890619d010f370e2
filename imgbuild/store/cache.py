"""The cache: blobs, sidecars and records, written in the order that survives a power cut."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.core.errors import StorageError
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.store.blobs import Blob, Blobs, MissingBlob
from imgbuild.store.encoding import Kept, Pin
from imgbuild.store.fsio import exposure
from imgbuild.store.guard import exclusive, shared
from imgbuild.store.journal import Journal
from imgbuild.store.sidecars import write_sidecar

if TYPE_CHECKING:
    from imgbuild.store.check import VerifyReport
    from imgbuild.store.collect import GcReport
    from imgbuild.store.records import Records


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Numbers of things in a cache, and their sizes in bytes."""

    blobs: int
    bytes: int
    results: int
    outputs: int
    pins: int
    quarantined: int
    quarantined_bytes: int


class Cache:
    """One cache folder. Opening it touches nothing; threads and processes may share it.

    What was paid for is kept in the order blob, sidecar, record, each durable before the next: a record
    never names an absent blob, and a lost record can be rebuilt. Every method may raise StorageError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = Blobs(root)
        self.journal = Journal(root)
        self.on_record: Callable[[tuple[Kept, ...]], None] | None = None
        """Hears of everything that is recorded through this object, once it is durable."""
        self._opening = threading.Lock()
        self._records: Records | None = None
        self._looked = False

    @property
    def records(self) -> Records:
        """The records; their database is imported and opened only when one is asked for."""
        if self._records is None:
            with self._opening:
                if self._records is None:
                    from imgbuild.store.records import Records

                    self._records = Records(self.root)
        return self._records

    @property
    def identity(self) -> str:
        """Tells this cache from one in another folder, or from one that was cleared or replaced since."""
        inodes = []
        for part in ("blobs", "records/cache.db"):
            with suppress(OSError):
                inodes.append((self.root / part).stat().st_ino)
        return f"{self.root} {inodes}"

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Within, this thread is told what was recorded when it first asked, many times as fast."""
        with self.records.at_one_moment(), self.journal.at_one_moment():
            yield

    def warnings(self) -> tuple[str, ...]:
        """What had to be repaired on the way, for people. Each is given once."""
        found = () if self._records is None else self._records.warnings()
        exposed = None if self._looked else exposure(self.root)
        self._looked = True
        return self.journal.warnings() + found + ((exposed,) if exposed else ())

    def keep_result(
        self,
        file: Path,
        make: Callable[[Blob], StoredResult],
        arrived: Callable[[StoredResult], None] = lambda result: None,
    ) -> StoredResult:
        """Take over a file that was paid for. `make` says what it is, given its digest and size.

        `arrived` hears of it as soon as the bytes are safe, before it is recorded. When this returns,
        nothing but the loss of the disk can lose the result.
        """
        with self._in_use():
            result = make(self.blobs.add_file(file))
            arrived(result)
            self._record((result,))
        return result

    def forget_task(self, result: StoredResult) -> None:
        """The service no longer has the task of a result: nobody need ask for its bytes there again."""
        with self._in_use():
            self._record((replace(result, task=None, origin=None),))

    def note(self, *kept: Kept) -> None:
        """Record what is known of blobs that are here already, e.g. a result under one more declared key.

        Raises MissingBlob.
        """
        with self._in_use():
            for one in kept:
                self._require(one.digest)
            self._record(kept)

    def keep_output(self, file: Path, make: Callable[[Blob], StoredOutput]) -> StoredOutput:
        """Take over a derived file."""
        return self.keep_outputs(((file, make),))[0]

    def keep_outputs(
        self, files: Iterable[tuple[Path, Callable[[Blob], StoredOutput]]]
    ) -> tuple[StoredOutput, ...]:
        """Take over many derived files, recorded in one transaction."""
        with self._in_use():
            outputs = tuple(make(self.blobs.add_file(file)) for file, make in files)
            self._record(outputs)
        return outputs

    def keep_pin(self, url: str, file: Path) -> Blob:
        """Take over what a reference URL gave, and remember that it did."""
        with self._in_use():
            blob = self.blobs.add_file(file)
            self._record((Pin(url, blob.digest),))
        return blob

    def stats(self) -> CacheStats:
        """Count everything."""
        entries = tuple(self.blobs.entries())
        quarantined = tuple(self.blobs.quarantined())
        return CacheStats(
            blobs=len(entries),
            bytes=sum(entry.bytes for entry in entries),
            results=len(self.records.all_results()),
            outputs=len(self.records.all_outputs()),
            pins=len(self.records.all_pins()),
            quarantined=len(quarantined),
            quarantined_bytes=sum(size for _, size in quarantined),
        )

    def verify(self, *, repair: bool) -> VerifyReport:
        """Hash every blob and hold every record against the blobs and the sidecars.

        A repair quarantines damaged blobs, drops records that name absent ones, and puts back records that
        only the sidecars know. Results that were damaged, or that their service can be asked for, keep their
        records: without them they would be paid for again.
        """
        from imgbuild.store import check

        entries = tuple(self.blobs.entries())
        ids = check.image_ids(self.records)
        bad = check.find_corrupt(self.blobs, entries)
        with self._alone():
            moved = check.quarantine(self.blobs, bad) if repair else {}
            lost = check.find_lost(self.blobs, self.records)
            if repair:
                self.records.drop(one for one in lost if not check.can_be_fetched(one))
            unrecorded = check.find_unrecorded(self.blobs, self.records)
            if repair:
                self.records.put(unrecorded)
        self.blobs.sweep()
        return check.VerifyReport(
            blobs=len(entries),
            bytes=sum(entry.bytes for entry in entries),
            corrupt=tuple(check.Corrupt(digest, ids.get(digest, ()), moved.get(digest)) for digest in bad),
            lost=tuple(map(check.describe, lost)),
            rebuilt=len(unrecorded),
            repaired=repair,
        )

    def gc(
        self,
        *,
        max_bytes: int | None = None,
        max_age_seconds: float | None = None,
        keep: Collection[str] = (),
        now: float | None = None,
        dry_run: bool = False,
    ) -> GcReport:
        """Remove blobs that are too old or over the size: derived ones first, never a digest in `keep`.

        `now` is seconds since the epoch, the current time when None.
        """
        from imgbuild.store import collect

        moment = time.time() if now is None else now
        with self._alone():
            everything = collect.candidates(self.blobs, self.records)
            chosen = collect.choose(
                everything, keep=keep, max_bytes=max_bytes, max_age_seconds=max_age_seconds, now=moment
            )
            if not dry_run:
                collect.remove(self.blobs, self.records, {one.digest for one in chosen})
        if not dry_run:
            self.blobs.sweep(moment)
        return collect.GcReport(
            removed=tuple(
                collect.Removed(one.digest, one.bytes, moment - one.modified, one.kind, one.image_ids)
                for one in chosen
            ),
            kept_blobs=len(everything) - len(chosen),
            kept_bytes=sum(one.bytes for one in everything) - sum(one.bytes for one in chosen),
            dry_run=dry_run,
        )

    def close(self) -> None:
        """Close this thread's database connection, if there is one."""
        if self._records is not None:
            self._records.close()

    def _record(self, many: tuple[Kept, ...]) -> None:
        for one in many:
            write_sidecar(self.blobs, one)
        self.records.put(many)
        if self.on_record is not None:
            self.on_record(many)

    def _require(self, digest: str) -> None:
        if not self.blobs.has(digest):
            raise MissingBlob(digest)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        # Opened before the first sidecar is there, or a new cache would look like one that lost its
        # records. A database that cannot be opened must not keep paid bytes from being stored.
        with suppress(StorageError):
            self.records.open()
        with shared(self.root / "use.lock"):
            yield

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive(self.root / "use.lock")


def open_cache(folder: Path) -> Cache:
    """Open a cache folder, which need not exist yet: nothing is read or created before it is needed."""
    return Cache(folder.absolute())


def default_cache_dir(env: Mapping[str, str]) -> Path:
    """`IMGBUILD_CACHE_DIR`, or the user's cache folder as the platform has it."""
    configured = env.get("IMGBUILD_CACHE_DIR", "").strip()
    if configured:
        return Path(configured).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("imgbuild", appauthor=False))
