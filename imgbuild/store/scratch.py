"""Scratch space for bytes on their way into the cache: a folder a process, swept when its process is gone."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
import weakref
from contextlib import suppress
from pathlib import Path

from imgbuild.store.fsio import make_folder, storage_errors, try_lock, unique
from imgbuild.store.guard import exclusive

_NAME = re.compile(r"[0-9a-f]{16}")
_LOCK = ".lock"
_STALE_SECONDS = 24 * 3600


class Scratch:
    """Paths below `<root>/tmp/<name>/`, a folder of this process, whose `<name>.lock` it holds to its end.

    The system lets go of a killed process's lock: so whoever needs scratch space next can tell which folders
    nobody uses any more, and removes them. Threads may share it; a forked child gets a folder of its own.
    Nothing is created before a path is asked for, and the folder goes with this object where it is empty.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / "tmp"
        self._own: _Own | None = None

    def path(self) -> Path:
        """A new, not yet existing path. Raises StorageError."""
        own = self._own
        if own is None or not own.is_usable():
            own = self._enter()
        return own.folder / unique()

    def sweep(self, now: float | None = None) -> int:
        """Remove what no living process uses; returns the number of folders and loose files.

        `now` is seconds since the epoch, the current time when None. Raises StorageError.
        """
        if not self._folder.is_dir():
            return 0
        with exclusive(self._root / "sweep.lock"):
            return _sweep(self._folder, time.time() if now is None else now)

    def _enter(self) -> _Own:
        make_folder(self._root, 0o700)
        make_folder(self._folder)
        # Alone until our own folder is there and locked, so that nobody sweeps it in between.
        with exclusive(self._root / "sweep.lock"):
            # Another thread may have been here meanwhile.
            if self._own is None or not self._own.is_usable():
                with suppress(OSError):
                    _sweep(self._folder, time.time())
                with storage_errors("create a folder in", self._folder):
                    self._own = _Own(self._folder)
            return self._own


class _Own:
    """A folder that is ours for as long as this object lives, in the process that made it."""

    def __init__(self, parent: Path) -> None:
        self.folder = parent / unique()
        self._pid = os.getpid()
        lock = self.folder.with_suffix(_LOCK)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try_lock(descriptor)
            self.folder.mkdir(0o700)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                lock.unlink()
            raise
        weakref.finalize(self, _leave, self._pid, descriptor, self.folder, lock)

    def is_usable(self) -> bool:
        """False after a fork, and when somebody has removed the folder."""
        return self._pid == os.getpid() and os.access(self.folder, os.F_OK)


def _leave(pid: int, descriptor: int, folder: Path, lock: Path) -> None:
    """Give a folder up. What still lies in it goes with the next sweep."""
    # A forked child has only a copy of the descriptor to close: the folder is its parent's.
    with suppress(OSError):
        if os.getpid() == pid:
            folder.rmdir()
            lock.unlink()
    with suppress(OSError):
        os.close(descriptor)


def _sweep(folder: Path, now: float) -> int:
    """Remove what is nobody's; what cannot be removed stays. Raises OSError when `folder` cannot be read."""
    removed = 0
    with os.scandir(folder) as entries:
        found = {entry.name: entry for entry in entries}
    for name, entry in found.items():
        with suppress(OSError):
            if name.endswith(_LOCK) and _NAME.fullmatch(name.removesuffix(_LOCK)):
                removed += _remove_if_free(Path(entry.path))
            elif name + _LOCK not in found and _is_stale(entry, now):
                removed += _remove_loose(entry)
    return removed


def _remove_if_free(lock: Path) -> bool:
    """Remove a folder whose process is gone, and then its lock: so there is no folder without one."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not try_lock(descriptor):
            return False
        folder = lock.with_suffix("")
        had_folder = folder.is_dir()
        if had_folder:
            shutil.rmtree(folder)
        lock.unlink(missing_ok=True)
        return had_folder
    finally:
        os.close(descriptor)


def _remove_loose(entry: os.DirEntry[str]) -> bool:
    """Remove a file of an older layout, or a folder whose lock somebody has deleted."""
    if entry.is_file(follow_symlinks=False):
        Path(entry.path).unlink()
        return True
    if entry.is_dir(follow_symlinks=False) and _NAME.fullmatch(entry.name):
        shutil.rmtree(entry.path)
        return True
    return False


def _is_stale(entry: os.DirEntry[str], now: float) -> bool:
    return entry.stat(follow_symlinks=False).st_mtime < now - _STALE_SECONDS
