"""The lock as images finish: at most one write a second, merged into what other processes wrote."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.lock import Lock, LockedImage, parse_lock, render_lock
from imgbuild.store.lockfile import update

INTERVAL = 1.0
"""Seconds between two writes."""


class LockWriter:
    """Collects accepted and dropped entries and writes them. `enabled` False: writes nothing."""

    def __init__(self, path: Path, *, enabled: bool) -> None:
        self._path = path
        self._enabled = enabled
        self._changes: dict[str, LockedImage | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def accept(self, id: str, entry: LockedImage) -> None:
        """Put an entry in; written within a second."""
        self._changes[id] = entry
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._due)

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
        if self._enabled and self._changes:
            update(self._path, self._merge)
        self._changes.clear()

    def _due(self) -> None:
        # What cannot be written now stays collected, and whoever flushes at the end hears why.
        with suppress(ImgbuildError):
            self.flush()

    def _merge(self, text: str | None) -> str:
        images = dict(parse_lock(text, self._path.name).images) if text is not None else {}
        for id, entry in self._changes.items():
            if entry is None:
                images.pop(id, None)
            else:
                images[id] = entry
        return render_lock(Lock(images))
