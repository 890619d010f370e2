"""Files written whole or not at all: a temporary name beside, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imgbuild.core.errors import StorageError

_REMEDIES = {
    errno.ENOSPC: "free some space, then run the same command again",
    errno.EDQUOT: "free some of the quota, then run the same command again",
    errno.EFBIG: "raise the file size limit (ulimit -f), then run the same command again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run the same command again",
    errno.ENFILE: "the system has too many files open; run the same command again later",
    errno.EIO: "the disk reports an error; check it before you go on",
    errno.EROFS: "the file system is read-only; make it writable or choose another folder",
    errno.EACCES: "check the owner and the permissions of the folder",
    errno.EPERM: "check the owner and the permissions of the folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; move it away or choose another folder",
}
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})
_NO_KERNEL_COPY = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EBADF}
)


def shown(path: Path) -> str:
    """A path for a message: one line, no control characters."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


@contextmanager
def storage_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError into a one-line StorageError, e.g. "cannot write /x/y: No space left on device"."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StorageError(
            f"cannot {doing} {shown(path)}: {reason}", remedy=_REMEDIES.get(error.errno or 0)
        ) from error


def unique() -> str:
    """A name part that no other process or thread has."""
    return os.urandom(8).hex()


def temporary_beside(path: Path) -> Path:
    """A new, not yet existing, hidden path in the same folder, to be published at `path`."""
    return path.with_name(f".imgbuild-{unique()}.tmp")


def sync_folder(path: Path) -> None:
    """Make a folder's entries durable. Raises OSError; file systems that cannot do it are left alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Create a folder with its parents, durably. `mode` is the last one's, less the umask.

    Raises StorageError.
    """
    with storage_errors("create the folder", path):
        _make_folder(path, mode)


def _make_folder(path: Path, mode: int) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent, 0o777)
    try:
        path.mkdir(mode)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    sync_folder(path.parent)


def write_atomic(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file so that readers, and a power cut, see the old or the new content, never a part.

    Creates missing folders and keeps the permissions of a file that it replaces. Without `sync` a power
    cut may leave an empty file. Raises StorageError; the old content is then intact.
    """
    temporary = temporary_beside(path)
    make_folder(path.parent)
    with storage_errors("write", path):
        try:
            with temporary.open("xb") as file:
                _keep_permissions(path, file)
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
            if sync:
                sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def _keep_permissions(old: Path, new: BinaryIO) -> None:
    with suppress(FileNotFoundError):
        status = old.lstat()
        if stat.S_ISREG(status.st_mode):
            os.fchmod(new.fileno(), status.st_mode & 0o777)


def publish(temporary: Path, path: Path, *, sync: bool = True) -> None:
    """Rename a finished file into place, durably unless `sync` is off.

    Both must be on one file system. Raises StorageError, and then leaves the temporary file where it is.
    """
    with storage_errors("write", path):
        if sync:
            _sync_file(temporary)
        temporary.replace(path)
        if sync:
            sync_folder(path.parent)


def digest_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex, streamed. Raises StorageError."""
    with storage_errors("read", path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(source: Path, target: Path) -> None:
    """Copy bytes to a new file, sharing the blocks where the file system can.

    `target` must not exist yet; it is removed again when the copy fails. Raises StorageError.
    """
    with (
        storage_errors("read", source),
        source.open("rb") as reader,
        storage_errors("write", target),
        target.open("xb") as writer,
    ):
        try:
            _copy_bytes(reader, writer)
        except BaseException:
            with suppress(OSError):
                target.unlink()
            raise


def _copy_bytes(reader: BinaryIO, writer: BinaryIO) -> None:
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
                pass
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
        # Some file systems report an early end instead of refusing: the plain copy takes over from
        # wherever the kernel's stopped, because both descriptors moved together.
    shutil.copyfileobj(reader, writer, 1 << 20)


def remove_file(path: Path) -> bool:
    """Delete a file. False when there was none. Raises StorageError."""
    with storage_errors("delete", path):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True


def remove_empty_parents(path: Path, stop: Path) -> None:
    """Delete the folders above `path` that are empty now, up to but not including `stop`."""
    for folder in path.parents:
        if folder == stop or stop not in folder.parents:
            return
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return
