"""Advisory locks between processes: many that use a folder, or one that removes things from it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgbuild.core.errors import StorageError
from imgbuild.store.fsio import make_folder, shown, storage_errors

_POLL_SECONDS = 0.01


@contextmanager
def shared(path: Path, *, timeout: float = 120.0) -> Iterator[None]:
    """Hold the lock file together with others that hold it shared. `timeout` in seconds."""
    with _held(path, fcntl.LOCK_SH, timeout):
        yield


@contextmanager
def exclusive(path: Path, *, timeout: float = 120.0) -> Iterator[None]:
    """Hold the lock file alone. `timeout` in seconds, then StorageError. A killed holder lets go."""
    with _held(path, fcntl.LOCK_EX, timeout):
        yield


@contextmanager
def _held(path: Path, kind: int, timeout: float) -> Iterator[None]:
    make_folder(path.parent, 0o700)
    with storage_errors("lock", path):
        # A descriptor of its own for every holder, so that threads of one process exclude each other too.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with storage_errors("lock", path):
            _acquire(descriptor, kind, path, timeout)
        yield
    finally:
        # Not by closing alone: a child that was forked meanwhile would go on holding it.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _acquire(descriptor: int, kind: int, path: Path, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise StorageError(
                    f"cannot lock {shown(path)}: another imgbuild has held it for {timeout:g} s",
                    remedy="wait for the other command to end, then run this one again",
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return
