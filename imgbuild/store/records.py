"""Records: key -> results, recipe -> outputs, URL -> pin, and payments. Rebuilt from sidecars when lost."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import diskcache

from imgbuild.core.errors import StorageError
from imgbuild.core.results import Payment, StoredOutput, StoredResult
from imgbuild.store import rows
from imgbuild.store.blobs import Blobs
from imgbuild.store.database import FILE_NAME, View, connect, find_damage, is_damage, make_durable, open_view
from imgbuild.store.encoding import Kept, Pin
from imgbuild.store.fsio import make_folder, shown, storage_errors, unique
from imgbuild.store.guard import exclusive
from imgbuild.store.sidecars import read_sidecars

_COMPLETE = "meta/complete"
"""Set once the sidecars were read in: a database without it is new, or was lost."""

T = TypeVar("T")


class Records:
    """The typed records below `<root>/records`. Opened at the first question, never before.

    Records are checked when they are read: of the wrong shape means absent. Every method may raise
    StorageError. Threads and processes may share one root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / "records"
        self._lock = threading.RLock()
        self._database: Any = None
        self._condemned: tuple[str, int] | None = None
        """Why the database is damaged, and the file's inode: another process may replace it first."""
        self._warnings: list[str] = []
        self._moment = _Moment()

    def open(self) -> None:
        """Open the database now: look for damage, and rebuild what is missing."""
        self._run(lambda _: None)

    def warnings(self) -> tuple[str, ...]:
        """What had to be repaired while opening, for people. Each is given once."""
        with self._lock:
            warnings = tuple(self._warnings)
            self._warnings.clear()
            return warnings

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Within, this thread is told what was recorded when it first asked, many times as fast."""
        with ExitStack() as stack:
            self._moment.views = stack
            try:
                yield
            finally:
                self._moment.forget()

    def result(self, key: str, take: int) -> StoredResult | None:
        """Take `take` of a generation key."""
        return self._results(key).get(take)

    def takes(self, key: str) -> tuple[int, ...]:
        """The numbers of a key's takes, ascending."""
        return tuple(sorted(self._results(key)))

    def by_declared(self, declared_key: str) -> tuple[str, ...]:
        """The generation keys, with results, that were once made for this declared key: oldest first."""
        keys = self._read(lambda db: rows.texts(rows.row(db, f"declared/{declared_key}")))
        return tuple(key for key in keys if self._results(key))

    def outputs(self, recipe_key: str) -> Mapping[str, StoredOutput]:
        """The outputs of a recipe, by encoder."""
        return self._read(lambda db: rows.outputs_row(db, recipe_key))

    def made_by(self, digest: str) -> tuple[str, ...]:
        """The recipe keys that gave exactly these bytes; not empty means that imgbuild made them.

        Kept when the blob is removed: it is no promise of bytes, but tells ours from a person's.
        """
        return self._read(lambda db: rows.texts(rows.row(db, f"made/{digest}")))

    def pin(self, url: str) -> str | None:
        """The digest of what a reference URL gave when it was last fetched."""
        pin = self._read(lambda db: rows.pin_row(db, url))
        return None if pin is None else pin.digest

    def put_result(self, result: StoredResult) -> None:
        """Record a result, in place of an older one of the same key and take."""
        self.put((result,))

    def put_output(self, output: StoredOutput) -> None:
        """Record an output, in place of an older one of the same recipe and encoder."""
        self.put((output,))

    def put_outputs(self, outputs: Iterable[StoredOutput]) -> None:
        """Record many outputs in one transaction."""
        self.put(outputs)

    def put_pin(self, url: str, digest: str) -> None:
        """Record what a reference URL gave."""
        self.put((Pin(url, digest),))

    def put(self, many: Iterable[Kept]) -> None:
        """Record anything, in one durable transaction: all or nothing."""
        kept = tuple(many)

        def action(db: Any) -> None:
            for one in kept:
                rows.put_row(db, one)

        if kept:
            self._write(action)

    def drop(self, many: Iterable[Kept]) -> None:
        """Forget records, in one durable transaction. One that names another digest by now is kept."""
        kept = tuple(many)

        def action(db: Any) -> None:
            for one in kept:
                rows.drop_row(db, one)

        if kept:
            self._write(action)

    def put_payment(self, payment: Payment) -> None:
        """Record what may have been charged without a result, in place of an older one of the same id.

        Those of results are recorded with them.
        """
        self._write(lambda db: rows.put_payment_row(db, payment))

    def all_results(self) -> tuple[StoredResult, ...]:
        """Every result, by key and take."""
        return tuple(sorted(self._run(rows.all_results), key=lambda result: (result.key, result.take)))

    def all_outputs(self) -> tuple[StoredOutput, ...]:
        """Every output, by recipe and encoder."""
        return tuple(sorted(self._run(rows.all_outputs), key=lambda one: (one.recipe_key, one.encoder)))

    def all_pins(self) -> tuple[Pin, ...]:
        """Every pinned URL, by URL."""
        return tuple(sorted(self._run(rows.all_pins), key=lambda pin: pin.url))

    def all_payments(self) -> tuple[Payment, ...]:
        """Everything that was paid or may have been, of every project, oldest first."""
        return tuple(sorted(self._run(rows.all_payments), key=lambda payment: (payment.created, payment.id)))

    def close(self) -> None:
        """Close this thread's connection. The next question opens it again."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _results(self, key: str) -> Mapping[int, StoredResult]:
        # One plan asks for the same key several times over.
        known = self._moment.results.get(key)
        if known is not None:
            return known
        found = self._read(lambda db: rows.results_row(db, key))
        if self._moment.views is not None:
            self._moment.results[key] = found
        return found

    def _read(self, question: Callable[[Any], T]) -> T:
        """Answer as of this thread's moment, where it has one."""
        views = self._moment.views
        if views is None:
            return self._run(question)
        if self._moment.view is None:
            self._moment.view = self._run(lambda db: views.enter_context(open_view(db)))
        try:
            return question(self._moment.view)
        except sqlite3.Error:
            # Whether it is damage, and what is to be done about it, is told by asking in the usual way.
            self._moment.forget()
            return self._run(question)

    def _write(self, action: Callable[[Any], None]) -> None:
        def transaction(db: Any) -> None:
            make_durable(db)
            with db.transact():
                action(db)

        # SQLite lets writers wait by polling; among our own threads a lock is fair and quick.
        with self._lock:
            self._run(transaction)

    def _run(self, action: Callable[[Any], T]) -> T:
        try:
            with self._errors():
                return action(self._open())
        except _DamagedError as damage:
            with self._lock:
                self.close()
                self._condemned = (str(damage), self._inode())
        try:
            with self._errors():
                return action(self._open())
        except _DamagedError as damage:
            raise StorageError(f"cannot use the records in {shown(self._folder)}: {damage}") from damage

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with storage_errors("use the records in", self._folder):
                yield
        except diskcache.Timeout:
            raise self._locked() from None
        except sqlite3.Error as error:
            if "locked" in str(error) or "busy" in str(error):
                raise self._locked() from None
            if is_damage(error):
                raise _DamagedError(str(error)) from error
            raise StorageError(
                f"cannot use the records in {shown(self._folder)}: {error}",
                remedy="check the free space and the permissions of the folder",
            ) from error

    def _locked(self) -> StorageError:
        return StorageError(
            f"the records in {shown(self._folder)} are locked by another program, or cannot be written",
            remedy="end the program that uses them, then run this command again",
        )

    def _open(self) -> Any:
        if self._database is not None:
            return self._database
        with self._lock:
            if self._database is None:
                if os.path.expandvars(self._folder) != str(self._folder):
                    raise StorageError(
                        f"the cache folder {shown(self._root)} has the name of a variable in its path",
                        remedy="choose a folder without a dollar sign",
                    )
                make_folder(self._root, 0o700)
                # One process at a time looks for damage and rebuilds; the others find it done.
                with exclusive(self._root / "records.lock"):
                    self._database = self._prepare()
            return self._database

    def _prepare(self) -> Any:
        reason = find_damage(self._folder)
        if reason is None and self._condemned is not None and self._condemned[1] == self._inode():
            reason = self._condemned[0]
        if reason is not None:
            aside = self._root / f"records.damaged-{unique()}"
            self._folder.rename(aside)
            self._warnings.append(
                f"the records were damaged ({reason}); they were moved to {shown(aside)} and rebuilt from "
                "the files beside the images"
            )
        make_folder(self._folder, 0o700)
        self._folder.chmod(0o700)
        database = connect(self._folder)
        if rows.row(database, _COMPLETE) is None:
            count = self._rebuild(database)
            if count and reason is None:
                self._warnings.append(f"the records were missing; {count} were rebuilt from the files")
        return database

    def _inode(self) -> int:
        try:
            return (self._folder / FILE_NAME).stat().st_ino
        except FileNotFoundError:
            return 0

    def _rebuild(self, database: Any) -> int:
        kept = sorted(read_sidecars(Blobs(self._root)), key=_age)
        make_durable(database)
        with database.transact():
            for one in kept:
                rows.put_row(database, one)
            database.set(_COMPLETE, "true")
        return len(kept)


class _Moment(threading.local):
    """The database as one thread sees it for a while, and what was read there."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.views: ExitStack | None = None
        """Where an open view is closed in the end; None: there is no such moment."""
        self.view: View | None = None
        self.results: dict[str, Mapping[int, StoredResult]] = {}


class _DamagedError(Exception):
    """The database's content is bad; the message says how."""


def _age(kept: Kept) -> tuple[str, str]:
    return (kept.created if isinstance(kept, StoredResult) else "", kept.digest)
