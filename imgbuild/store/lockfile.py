"""Reading and updating `imgbuild.lock` as text, so that several builds at once lose nothing."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from imgbuild.core.errors import LockfileError, StorageError
from imgbuild.store.fsio import shown, storage_errors, sweep_temporaries, write_atomic
from imgbuild.store.workdir import Workdir

_WAIT_SECONDS = 60.0


def read_text(path: Path) -> str | None:
    """The lock's text; None when there is no file.

    Raises LockfileError for bytes that are no text, and for a link or a folder: it could not be replaced
    without losing what the user meant by it.
    """
    with storage_errors("read", path):
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                raise LockfileError(
                    f"{shown(path)} is not a plain file", remedy="put the lock itself in its place"
                )
            data = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LockfileError(
            f"{shown(path)} is not UTF-8 text (byte {error.start})",
            remedy="restore it from version control, or delete it and build again: nothing is charged",
        ) from None


def update(path: Path, merge: Callable[[str | None], str]) -> bool:
    """Replace the lock's text by what `merge` makes of the current one, alone among all processes.

    A file whose text would stay the same is not touched; before any other is written, what killed builds left
    beside it goes. Returns whether it was written. Raises StorageError, LockfileError, and whatever `merge`
    raises; the file is then as it was.
    """
    from filelock import FileLock, Timeout

    guard = Workdir(path.parent).ensure() / f"{path.name}.guard"
    with storage_errors("lock", guard):
        try:
            with FileLock(guard, timeout=_WAIT_SECONDS):
                old = read_text(path)
                new = merge(old)
                if new == old:
                    return False
                sweep_temporaries(path.parent)
                write_atomic(path, new.encode("utf-8"))
                return True
        except Timeout:
            raise StorageError(
                f"cannot update {shown(path)}: another imgbuild has held {shown(guard)} for "
                f"{_WAIT_SECONDS:g} s",
                remedy="wait for the other command to end, then run this one again",
            ) from None
