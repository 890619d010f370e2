"""The file that a result is written to as it arrives; the disk's refusals are named with its path."""

from __future__ import annotations

import errno
from pathlib import Path

from imgbuild.core.errors import StorageError


class ResultFile:
    """A new or replaced file, open for writing. Every method may raise StorageError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise self._refused(error) from None

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            # What went wrong before is what is told.
            if failed is None:
                raise self._refused(error) from None

    def write(self, content: bytes) -> None:
        """Add bytes."""
        # Written where it arrives: handing 64 KiB to a thread takes longer than the page cache does.
        view = memoryview(content)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> StorageError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return StorageError(
            f"cannot write {self._path}: {error.strerror or error}",
            remedy="free some space, then build again" if full else None,
        )
