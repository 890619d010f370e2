"""The journal of paid tasks: a file a key, every line synced before the next step, one payer at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from imgbuild.core.image import Json
from imgbuild.core.jobs import OpenJob, replay
from imgbuild.store.blobs import is_digest
from imgbuild.store.fsio import make_folder, storage_errors, sync_folder


class Claim:
    """The right to pay for a key, held until it is released or the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it. The lock file goes first, while nobody else can hold it."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


class Journal:
    """What is known of submissions whose results are not in the cache yet."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "jobs"

    def open_jobs(self, key: str) -> tuple[OpenJob, ...]:
        """A key's open jobs. A torn last line, which a power cut leaves, was never acted upon.

        Raises StorageError.
        """
        path = self._path(key)
        with storage_errors("read", path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return ()
        return replay(_lines(data))

    def all_open(self) -> Iterator[OpenJob]:
        """Every open job, by key. Raises StorageError."""
        with storage_errors("read", self._folder):
            names = sorted(path.name for path in self._folder.glob("*.jsonl"))
        for name in names:
            if is_digest(name.removesuffix(".jsonl")):
                yield from self.open_jobs(name.removesuffix(".jsonl"))

    def append(self, key: str, event: Mapping[str, Json]) -> None:
        """Write one line; when this returns, it outlasts a power cut. Raises StorageError."""
        path = self._path(key)
        make_folder(self._folder, 0o700)
        with storage_errors("write", path):
            new = not path.exists()
            with path.open("ab") as file:
                # A torn line of an earlier crash must not swallow this one.
                begin = b"\n" if file.tell() and not _ends_a_line(path) else b""
                file.write(begin + json.dumps(dict(event), ensure_ascii=True).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync_folder(self._folder)

    def tidy(self, key: str) -> None:
        """Remove a key's file when nothing in it is open. Only for the holder of its claim."""
        if not self.open_jobs(key):
            with storage_errors("delete", self._path(key)):
                self._path(key).unlink(missing_ok=True)

    def try_claim(self, key: str) -> Claim | None:
        """The right to pay for a key, or None while another build has it. Raises StorageError."""
        path = self._folder / f"{key}.lock"
        make_folder(self._folder, 0o700)
        with storage_errors("lock", path):
            while True:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    return None
                if _is_still(path, descriptor):
                    return Claim(path, descriptor)
                # Its holder removed the file between our open and our lock.
                os.close(descriptor)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.jsonl"


def _lines(data: bytes) -> Iterator[Mapping[str, Json]]:
    for line in data.split(b"\n"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
