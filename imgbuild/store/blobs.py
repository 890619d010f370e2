"""Content-addressed blobs: read-only files named by the SHA-256 of their bytes, re-hashed on every read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imgbuild.core.errors import StorageError
from imgbuild.store.fsio import (
    copy_file,
    digest_file,
    make_folder,
    publish,
    remove_file,
    shown,
    storage_errors,
    sweep_temporaries,
    sync_file,
    sync_folder,
    unique,
    write_atomic,
)
from imgbuild.store.scratch import Scratch

_DIGEST = re.compile(r"[0-9a-f]{64}")


class MissingBlob(StorageError):
    """The cache has no blob of this digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"the cache has no image with the digest {digest}",
            remedy="get it from a shared cache or a backup of the cache folder",
        )
        self.digest = digest


class CorruptBlob(StorageError):
    """A blob's bytes no longer hash to its name. It is in quarantine now, at `moved_to`."""

    def __init__(self, digest: str, moved_to: Path) -> None:
        super().__init__(
            f"the cached image {digest} is damaged; its bytes were moved to {shown(moved_to)}",
            remedy="get it from a shared cache or a backup of the cache folder",
        )
        self.digest = digest
        self.moved_to = moved_to


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store: their SHA-256 in hex and their number."""

    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob as it lies on the disk. `modified` is seconds since the epoch."""

    digest: str
    bytes: int
    modified: float


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 in lower-case hex, and so safe as a file name."""
    return _DIGEST.fullmatch(text) is not None


class Blobs:
    """The blobs below `<root>/blobs`, with `<root>/tmp` for bytes that arrive and `<root>/quarantine`.

    Nothing is created before something is written. Threads and processes may share one root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = root / "blobs"
        self._quarantine = root / "quarantine"
        self._scratch = Scratch(root)
        self._ready: set[Path] = set()
        self.elsewhere: Callable[[str], bool] | None = None
        """Brings a blob that is not here in from where it is; False: it is nowhere."""

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be. Raises StorageError for a text that is no digest."""
        if not is_digest(digest):
            raise StorageError(f"not a SHA-256 digest: {digest[:80]!a}")
        return self._folder / digest[:2] / digest

    def scratch(self) -> Path:
        """A new, not yet existing path on the store's own disk, for bytes that will be added.

        What still lies there when this process ends is removed by the next one that asks for a path. Raises
        StorageError.
        """
        return self._scratch.path()

    def add_file(self, path: Path, *, sync: bool = True, digest: str | None = None) -> Blob:
        """Take a file over: hash it, make it durable and read-only, move it in. `path` is gone then.

        A blob that is already there is replaced by these, just verified, bytes. Without `sync` a power cut
        may damage it: for what can be had again, and no record names. `digest`: the SHA-256 of the bytes
        that this process has just written there. Raises StorageError, and leaves the file where it is.
        """
        with storage_errors("read", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise StorageError(f"cannot read {shown(path)}: not a regular file")
                if status.st_nlink > 1 or not self._is_near(status):
                    # Another name, or another disk, could change the bytes later or refuses a rename.
                    return self._take_copy(path)
                digest = digest or hashlib.file_digest(file, "sha256").hexdigest()
                os.fchmod(descriptor, 0o444)
                os.utime(descriptor)
        self._move_in(path, digest, sync=sync)
        return Blob(digest, status.st_size)

    def add_copy(self, path: Path) -> Blob:
        """Add a copy of a file that stays where it is, e.g. one that a person made. Raises StorageError."""
        temporary = self.scratch()
        copy_file(path, temporary)
        try:
            return self.add_file(temporary)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def add_bytes(self, data: bytes) -> Blob:
        """Add bytes that are in memory. Raises StorageError."""
        temporary = self.scratch()
        with storage_errors("write", temporary):
            temporary.write_bytes(data)
        return self.add_file(temporary)

    def has(self, digest: str) -> bool:
        """Whether something lies in the blob's place: a look at the disk, not at the bytes."""
        return is_digest(digest) and os.path.lexists(self.path(digest))

    def verified(self, digest: str, size: int | None = None) -> Path:
        """The path of a blob whose bytes were just hashed. `size` is what it should have, in bytes.

        Raises MissingBlob, or CorruptBlob after moving the damaged file to the quarantine; either only if it
        cannot be had from elsewhere.
        """
        try:
            return self._verified(digest, size)
        except (MissingBlob, CorruptBlob):
            if self.elsewhere is None or not self.elsewhere(digest):
                raise
        return self._verified(digest, size)

    def _verified(self, digest: str, size: int | None) -> Path:
        path = self.path(digest)
        with storage_errors("read", path):
            try:
                status = path.lstat()
            except FileNotFoundError:
                raise MissingBlob(digest) from None
        regular = stat.S_ISREG(status.st_mode)
        if regular and size in (None, status.st_size):
            try:
                if digest_file(path) == digest:
                    return path
            except StorageError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    raise MissingBlob(digest) from None
                raise
        reason = f"the bytes of blob {digest} do not hash to its name"
        raise CorruptBlob(digest, self.quarantine(path, reason))

    def make_safe(self, digest: str) -> bool:
        """Hash a blob that is here, and make it durable: for a record that will name it.

        False: it is gone, or was damaged and is in quarantine now. Raises StorageError.
        """
        try:
            path = self._verified(digest, None)
        except (MissingBlob, CorruptBlob):
            return False
        with storage_errors("write", path):
            sync_file(path)
            sync_folder(path.parent)
        return True

    def quarantine(self, path: Path, reason: str) -> Path:
        """Move a file away from use and keep it, with a JSON note beside it. Raises StorageError.

        For bytes that were paid for but cannot be used, and for damaged blobs. Returns the new path.
        """
        self._ensure(self._quarantine)
        target = self._quarantine / f"{path.name[:64]}.{unique()}.bin"
        note = {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "reason": reason}
        with storage_errors("move", path):
            # Only a regular file has bytes to be made durable; to open a pipe would never end.
            regular = stat.S_ISREG(path.lstat().st_mode)
        try:
            publish(path, target, sync=regular)
        except StorageError as error:
            if not _is_cross_device(error):
                raise
            copy_file(path, target)
            remove_file(path)
        # The bytes are safe: a disk that is too full for the note must not hide why they came here.
        with suppress(StorageError):
            write_atomic(target.with_suffix(".json"), json.dumps(note, indent=2).encode() + b"\n")
        return target

    def quarantined(self) -> Iterator[tuple[Path, int]]:
        """The files in quarantine with their sizes in bytes, without the notes."""
        for entry in _scan(self._quarantine):
            if entry.name.endswith(".bin"):
                with suppress(FileNotFoundError):
                    yield Path(entry.path), entry.stat(follow_symlinks=False).st_size

    def was_corrupt(self, digest: str) -> bool:
        """Whether a damaged blob of this name lies in quarantine. Raises StorageError."""
        return digest in self.corrupt_digests()

    def corrupt_digests(self) -> frozenset[str]:
        """The names of the damaged blobs in quarantine. Raises StorageError."""
        names = (entry.name.partition(".")[0] for entry in _scan(self._quarantine))
        return frozenset(name for name in names if is_digest(name))

    def entries(self) -> Iterator[BlobEntry]:
        """Every blob, by digest. Those that vanish meanwhile are left out. Raises StorageError."""
        for shard in sorted(_scan(self._folder), key=lambda entry: entry.name):
            for entry in sorted(_scan(Path(shard.path)), key=lambda entry: entry.name):
                if is_digest(entry.name) and entry.name[:2] == shard.name:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield BlobEntry(entry.name, status.st_size, status.st_mtime)

    def sidecar_files(self) -> Iterator[Path]:
        """The JSON files that lie beside blobs, or where blobs were. Raises StorageError."""
        for shard in _scan(self._folder):
            for entry in _scan(Path(shard.path)):
                if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)

    def remove(self, digest: str) -> bool:
        """Delete a blob. False when there was none. Raises StorageError."""
        return remove_file(self.path(digest))

    def sweep(self, now: float | None = None) -> int:
        """Remove what processes left behind that were killed; returns the number of files and folders.

        `now` is seconds since the epoch, the current time when None. Raises StorageError.
        """
        shards = [Path(shard.path) for shard in _scan(self._folder)]
        return self._scratch.sweep(now) + sum(map(sweep_temporaries, [self._quarantine, *shards]))

    def _move_in(self, path: Path, digest: str, *, sync: bool) -> None:
        target = self.path(digest)
        self._ensure(target.parent)
        publish(path, target, sync=sync)

    def _take_copy(self, path: Path) -> Blob:
        blob = self.add_copy(path)
        remove_file(path)
        return blob

    def _is_near(self, status: os.stat_result) -> bool:
        self._ensure(self._folder)
        return self._folder.stat().st_dev == status.st_dev

    def _ensure(self, folder: Path) -> None:
        """Create a folder below the root, durably, also when another process is just creating it."""
        if folder in self._ready and folder.is_dir():
            return
        make_folder(self.root, 0o700)
        make_folder(folder)
        self._ready.add(folder)


def _is_cross_device(error: StorageError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EXDEV


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    with storage_errors("read the folder", folder):
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
