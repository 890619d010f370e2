"""The journal of paid tasks: a file a key, every line synced before the next step, one payer at a time."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imgbuild.core.errors import JournalError
from imgbuild.core.image import Json
from imgbuild.core.jobs import OpenJob, replay
from imgbuild.store.blobs import is_digest
from imgbuild.store.fsio import make_folder, shown, storage_errors, sync_folder


class Claim:
    """The right to pay for a key, held until it is released or the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others have it. The lock file goes first, while nobody else can hold it."""
        try:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)


class _Moment(threading.local):
    """Whether a thread holds what it has seen for what is, and what it has seen."""

    lasts = False
    recorded: frozenset[str] | None = None


class Journal:
    """What is known of submissions whose results are not recorded yet."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "jobs"
        self._warnings: dict[Path, str] = {}
        self._moment = _Moment()
        self.mirror: Callable[[str, Mapping[str, Json]], None] | None = None
        """Is told of every line: of an intent before it is written, of all else after."""

    def warnings(self) -> tuple[str, ...]:
        """What was found damaged and could be mended, for people. Each is given once."""
        warnings = tuple(self._warnings.values())
        self._warnings.clear()
        return warnings

    def recorded_keys(self) -> tuple[str, ...]:
        """The keys that have a file, sorted. Raises StorageError."""
        # Not `glob`, which takes a folder that may not be read for an empty one.
        with storage_errors("read", self._folder):
            try:
                names = [path.name for path in self._folder.iterdir()]
            except FileNotFoundError:
                return ()
        keys = (name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl"))
        return tuple(sorted(key for key in keys if is_digest(key)))

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Within, this thread looks only once for the keys that have a file at all: next to none have."""
        self._moment.recorded = None
        self._moment.lasts = True
        try:
            yield
        finally:
            self._moment.lasts = False

    def open_jobs(self, key: str) -> tuple[OpenJob, ...]:
        """A key's open jobs. A torn end, which a kill or a power cut leaves, was never acted upon.

        Raises StorageError; JournalError for a file that was damaged otherwise.
        """
        if self._moment.lasts and key not in self._recorded_at_this_moment():
            return ()
        path = self._path(key)
        with storage_errors("read", path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return ()
        whole = _whole_lines(data)
        if whole != len(data):
            self._warnings[path] = f"the last line of {shown(path)} was never finished, and is left out"
        try:
            return replay(_event(number, line) for number, line in enumerate(data[:whole].splitlines(), 1))
        except ValueError as error:
            raise JournalError(
                f"cannot understand what {shown(path)} says about a paid task: {error}",
                remedy="nothing is submitted for it meanwhile; use the imgbuild that wrote it, or move the "
                "file away to give up what it says",
            ) from None

    def append(self, key: str, event: Mapping[str, Json]) -> None:
        """Write one line; when this returns, it outlasts a power cut. Only for the holder of the claim.

        Raises StorageError.
        """
        before = event.get("event") == "intent"
        if before and self.mirror is not None:
            self.mirror(key, event)
        self._append(key, event)
        if not before and self.mirror is not None:
            self.mirror(key, event)

    def _append(self, key: str, event: Mapping[str, Json]) -> None:
        path = self._path(key)
        make_folder(self._folder, 0o700)
        with storage_errors("write", path):
            new = not path.exists()
            with path.open("a+b", buffering=0) as file:
                _cut_torn_end(file)
                line = json.dumps(dict(event), ensure_ascii=True).encode() + b"\n"
                try:
                    written = 0
                    while written < len(line):
                        written += file.write(line[written:]) or 0
                    os.fsync(file.fileno())
                except BaseException:
                    # A half line would be dropped by the next reader anyway, but with a warning.
                    with suppress(OSError):
                        _cut_torn_end(file)
                    raise
            if new:
                sync_folder(self._folder)

    def tidy(self, key: str) -> None:
        """Remove a key's file when nothing in it is open. Only for the holder of its claim."""
        if not self.open_jobs(key):
            with storage_errors("delete", self._path(key)):
                self._path(key).unlink(missing_ok=True)

    def try_claim(self, key: str, who: str) -> Claim | None:
        """The right to pay for a key, or None while another build has it. `who` is told to the others.

        Raises StorageError.
        """
        path = self._lock_path(key)
        make_folder(self._folder, 0o700)
        with storage_errors("lock", path):
            while True:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_still(path, descriptor):
                        with suppress(OSError):
                            os.ftruncate(descriptor, 0)
                            os.write(descriptor, f"{who} (process {os.getpid()})".encode()[:_WHO_BYTES])
                        return Claim(path, descriptor)
                except BlockingIOError:
                    os.close(descriptor)
                    return None
                except BaseException:
                    os.close(descriptor)
                    raise
                # Its holder removed the file between our open and our lock.
                os.close(descriptor)

    def payer(self, key: str) -> str:
        """Who holds the claim of a key, as they said; "another build" if they did not, or are done."""
        with suppress(OSError), self._lock_path(key).open("rb") as file:
            return file.read(_WHO_BYTES).decode("utf-8", "replace") or "another build"
        return "another build"

    def _recorded_at_this_moment(self) -> frozenset[str]:
        if self._moment.recorded is None:
            self._moment.recorded = frozenset(self.recorded_keys())
        return self._moment.recorded

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.jsonl"

    def _lock_path(self, key: str) -> Path:
        return self._folder / f"{key}.lock"


_WHO_BYTES = 1000


def _whole_lines(data: bytes) -> int:
    """How many bytes of a journal are finished lines. A power cut may leave NULs where data was to be."""
    return data.rstrip(b"\0").rfind(b"\n") + 1


def _cut_torn_end(file: BinaryIO) -> None:
    file.seek(0)
    data = file.read()
    whole = _whole_lines(data)
    if whole != len(data):
        file.truncate(whole)


def _event(number: int, line: bytes) -> Mapping[str, Json]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"line {number} is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(f"line {number} is no JSON object")
    return value


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
