"""The lock as images finish: at most one write a second, merged into what other processes wrote."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.lock import Lock, LockedImage, parse_lock, render_lock
from imgbuild.store.index import NO_DIGEST
from imgbuild.store.lockfile import update

INTERVAL = 1.0
"""Seconds between two writes, at least."""
_SHARE = 20.0
"""The same as a multiple of what a write takes, which grows with the lock."""

Changes = Mapping[str, LockedImage | None]
"""Entries by id; None: dropped."""


class LockWriter:
    """Collects accepted and dropped entries and writes them. `enabled` False: writes nothing.

    To be used from the event loop's thread; while images finish, a thread of its own does the writing.
    """

    def __init__(self, path: Path, *, enabled: bool) -> None:
        self._path = path
        self._enabled = enabled
        self._changes: dict[str, LockedImage | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, "lock")
        self._under_way: tuple[Changes, Future[float]] | None = None
        self.writes: list[tuple[bytes, bytes]] = []
        """The digest of each text that was found, and of what was made of it."""

    def accept(self, id: str, entry: LockedImage) -> None:
        """Put an entry in; written soon."""
        self._changes[id] = entry
        if self._timer is None and self._enabled:
            self._wait(INTERVAL)

    def drop(self, id: str) -> None:
        """Take an entry out with the next write."""
        self._changes[id] = None

    def flush(self) -> None:
        """Write what is collected. The file is not touched when its text stays the same.

        Raises:
            StorageError: the disk refuses.
            LockfileError: somebody broke the lock meanwhile.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._take_back()
        self._thread.shutdown()
        if self._enabled and self._changes:
            self._write(self._changes)
        self._changes = {}

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._under_way is not None and not self._under_way[1].done():
            self._wait(INTERVAL)
            return
        took = self._take_back()
        if self._changes:
            changes, self._changes = self._changes, {}
            self._under_way = changes, self._thread.submit(self._write, changes)
            self._wait(max(INTERVAL, _SHARE * took))

    def _take_back(self) -> float:
        """Wait for the write under way; returns the seconds that it took.

        What could not be written stays collected, and whoever flushes at the end hears why.
        """
        if self._under_way is None:
            return 0.0
        (changes, future), self._under_way = self._under_way, None
        try:
            return future.result()
        except ImgbuildError:
            self._changes = {**changes, **self._changes}
            return 0.0

    def _write(self, changes: Changes) -> float:
        began = time.monotonic()

        def merge(text: str | None) -> str:
            made = merged(text, self._path.name, changes)
            self.writes.append((_digest(text), _digest(made)))
            return made

        update(self._path, merge)
        return time.monotonic() - began


def _digest(text: str | None) -> bytes:
    return NO_DIGEST if text is None else hashlib.sha256(text.encode()).digest()


def merged(text: str | None, name: str, changes: Changes) -> str:
    """The text of a lock (None: there is no file yet) with entries put in and taken out.

    Raises:
        LockfileError: it cannot be read.
    """
    images = dict(parse_lock(text, name).images) if text is not None else {}
    for id, entry in changes.items():
        if entry is None:
            images.pop(id, None)
        else:
            images[id] = entry
    return render_lock(Lock(images))
