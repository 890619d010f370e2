"""Files written whole or not at all: a temporary name beside, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imgbuild.core.errors import StorageError

REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: "free some space, then run the same command again",
    errno.EDQUOT: "free some of the quota, then run the same command again",
    errno.EFBIG: "raise the file size limit (ulimit -f), then run the same command again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run the same command again",
    errno.ENFILE: "the system has too many files open; run the same command again later",
    errno.ENOMEM: "free some memory, then run the same command again",
    errno.EIO: "the disk reports an error; check it before you go on",
    errno.ENOLCK: "the file system cannot lock files; choose another folder",
    errno.EROFS: "the file system is read-only; make it writable or choose another folder",
    errno.EACCES: "check the owner and the permissions of the folder",
    errno.EPERM: "check the owner and the permissions of the folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; move it away or choose another folder",
}
"""What to do when the system refuses, by error number."""

_TEMPORARY = re.compile(r"\.imgbuild-[0-9a-f]{16}\.tmp")
_NO_FILE_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
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
            f"cannot {doing} {shown(path)}: {reason}", remedy=REMEDIES.get(error.errno or 0)
        ) from error


def unique() -> str:
    """A name part that no other process or thread has."""
    return os.urandom(8).hex()


def sync_folder(path: Path) -> None:
    """Make a folder's entries durable. Raises OSError; file systems that cannot do it are left alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_open_folder(descriptor)
    finally:
        os.close(descriptor)


def sync_open_folder(folder: int) -> None:
    """The same for a folder that is open."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def sync_file(path: Path) -> None:
    """Make a file's data durable. Raises OSError."""
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
    if path.is_dir() and _is_used(path):
        return
    _make_folder(path.parent, 0o777)
    new = True
    try:
        path.mkdir(mode)
    except FileExistsError:
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        new = False
    try:
        sync_folder(path.parent)
    except PermissionError:
        # Somebody else's folder in one that we may not list: it was there long before.
        if new:
            raise


def _is_used(path: Path) -> bool:
    """Whether something lies in a folder. Nothing is put into one before it is durable.

    So one that is empty may have been left by a process that was killed before it made it durable.
    """
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except PermissionError:
        return True


def exposure(folder: Path) -> str | None:
    """Why others than this user decide what is in a folder, with what to do about it, or None."""
    try:
        status = folder.stat()
    except OSError:
        return None
    if status.st_mode & stat.S_IWOTH:
        return f"everybody can write to {shown(folder)}, and so change what is built: chmod o-w it"
    if os.geteuid() and status.st_uid not in (0, os.geteuid()):
        return f"{shown(folder)} is another user's, who can change what is built: use a folder of your own"
    return None


def write_atomic(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file so that readers, and a power cut, see the old or the new content, never a part.

    Creates missing folders and keeps the permissions of a file that it replaces. Without `sync` a power
    cut may leave an empty file. Raises StorageError; the old content is then intact.
    """
    with _replacing(path, sync=sync) as file:
        file.write(data)


def copy_atomic(source: Path, path: Path, folder: int) -> None:
    """Write a copy of `source` to `path`, as `write_atomic` does. Raises StorageError.

    `folder` is the descriptor of `path`'s folder: it is this one that the file comes into, whatever else has
    taken its name since.
    """
    with (
        storage_errors("read", source),
        source.open("rb") as reader,
        storage_errors("write", path),
        _replacing_in(folder, path, sync=True) as writer,
    ):
        _copy_bytes(reader, writer)


def sweep_temporaries(folder: Path) -> int:
    """Remove what killed writers left behind in a folder; returns the number of files.

    Only regular files with the name of a temporary one, and only those that no writer holds any more.
    What cannot be removed stays.
    """
    removed = 0
    with suppress(OSError):
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if _TEMPORARY.fullmatch(entry.name)]
        for entry in found:
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    removed += _remove_unlocked(Path(entry.path))
    return removed


def try_lock(descriptor: int) -> bool:
    """Lock a file for this descriptor alone. False while another has it. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_still(name: str | Path, descriptor: int, *, folder: int | None = None) -> bool:
    """Whether an open file is the one that lies at `name`, in `folder`, now. Raises OSError."""
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


@contextmanager
def _replacing(path: Path, *, sync: bool) -> Iterator[BinaryIO]:
    """A temporary file beside `path` that takes its place when the block ends, and goes when it fails."""
    make_folder(path.parent)
    with storage_errors("write", path):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _replacing_in(folder, path, sync=sync) as file:
                yield file
        finally:
            os.close(folder)


@contextmanager
def _replacing_in(folder: int, path: Path, *, sync: bool) -> Iterator[BinaryIO]:
    """The same for a folder that is open. Raises OSError."""
    temporary, descriptor = _new_temporary(folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            _keep_permissions(path.name, folder, descriptor)
            if sync:
                os.fsync(descriptor)
            # Still locked: to others, a temporary file that nobody holds is a dead one.
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        if sync:
            sync_open_folder(folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _new_temporary(folder: int) -> tuple[str, int]:
    """A new file, locked for as long as it is open: so others can tell it from one of a killed writer."""
    while True:
        name = f".imgbuild-{unique()}.tmp"
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
        try:
            if _lock_if_possible(descriptor) and is_still(name, descriptor, folder=folder):
                return name, descriptor
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise
        # It was taken for a dead one between its creation and its lock.
        os.close(descriptor)


def _lock_if_possible(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError as error:
        # No locks on this file system: nothing is ever swept from it, either.
        if error.errno in _NO_FILE_LOCKS:
            return True
        raise


def _remove_unlocked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        dead = try_lock(descriptor) and stat.S_ISREG(os.fstat(descriptor).st_mode)
        if dead:
            path.unlink()
        return dead
    finally:
        os.close(descriptor)


def _keep_permissions(old: str, folder: int, new: int) -> None:
    with suppress(FileNotFoundError):
        status = os.stat(old, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            os.fchmod(new, status.st_mode & 0o777)


def publish(temporary: Path, path: Path, *, sync: bool = True) -> None:
    """Rename a finished file into place, durably unless `sync` is off.

    Both must be on one file system. Raises StorageError, and then leaves the temporary file where it is.
    """
    with storage_errors("write", path):
        if sync:
            sync_file(temporary)
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
