"""What a shared cache has to do, and how bytes are taken from one that may send anything, or nothing."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from imgbuild.core.errors import StorageError
from imgbuild.core.redact import clean
from imgbuild.store.fsio import storage_errors

MAX_RECORD = 16 << 20
"""Bytes: a prompt has at most 1 MiB, and nothing else in a record is long."""
MAX_BLOB = 4 << 30
"""Bytes of a blob whose size nobody has told."""
SLOWEST = 20_000
"""Bytes a second. A remote that trickles more slowly, beyond its timeout, counts as dead."""
_NAME = re.compile(r"[a-z]+/[0-9a-f]{64}(/[0-9]{1,6})?")


class RemoteError(StorageError):
    """The shared cache could not be reached or refused; nothing is known of what was asked for."""


class WrongBytesError(StorageError):
    """The shared cache sent something else than was asked for."""


class Remote(Protocol):
    """A shared cache. Threads share it. Every method may raise RemoteError; absence is an answer.

    Names of records look like `result/<sha256>/1`. What `scope` a record is in decides who could write it.
    """

    def read_blob(self, digest: str, take: Callable[[bytes], None]) -> bool:
        """Hand a blob's bytes to `take` as they arrive, unverified. False: it is not there."""
        ...

    def has_blob(self, digest: str) -> bool:
        """Whether there is such a blob."""
        ...

    def write_blob(self, digest: str, path: Path) -> bool:
        """Store a blob from a file. False: it is there already."""
        ...

    def read_record(self, scope: str, name: str) -> bytes | None:
        """A record; None if there is none."""
        ...

    def write_record(self, scope: str, name: str, data: bytes, blobs: Mapping[str, int]) -> None:
        """Store a record in place of an older one. `blobs`: what it names, with the sizes in bytes."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class ClaimingRemote(Remote, Protocol):
    """A shared cache that can tell who was first, so that builders can claim what they will pay for."""

    def create_record(self, scope: str, name: str, data: bytes) -> bool:
        """Store a record only if there is none. False: somebody was first."""
        ...

    def delete_record(self, scope: str, name: str) -> None:
        """Remove a record, if it is there."""
        ...


def receive(
    remote: Remote,
    digest: str,
    path: Path,
    *,
    most: int = MAX_BLOB,
    patience: float = 30.0,
    check: Callable[[], None] = lambda: None,
) -> bool:
    """Bring a blob into a new file, hashed as it arrives. False: it is not there. No file is left then.

    `most` is in bytes, `patience` in seconds. `check` is called again and again and may raise to give up.

    Raises:
        WrongBytesError: other bytes came, or more than `most`.
        RemoteError: the remote cannot be reached, or is too slow.
        StorageError: the disk refuses.
    """
    hasher = hashlib.sha256()
    size = 0
    began = time.monotonic()
    complete = False
    try:
        with storage_errors("write", path), path.open("xb") as file:

            def take(chunk: bytes) -> None:
                nonlocal size
                size += len(chunk)
                check()
                if size > most:
                    raise WrongBytesError(f"the shared cache sent more than {most} bytes for {digest}")
                if time.monotonic() - began > patience + size / SLOWEST:
                    raise RemoteError(f"the shared cache is too slow: {size} bytes of {digest} so far")
                hasher.update(chunk)
                with storage_errors("write", path):
                    file.write(chunk)

            complete = remote.read_blob(digest, take)
        if complete and hasher.hexdigest() != digest:
            complete = False
            raise WrongBytesError(f"the shared cache sent other bytes for {digest}")
        return complete
    finally:
        if not complete:
            with suppress(OSError):
                path.unlink()


def checked_name(name: str) -> str:
    """A record's name, fit to be part of a path. ValueError for anything else."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not the name of a record: {name!a}")
    return name


def unreachable(address: str, error: Exception, secrets: tuple[str | None, ...] = ()) -> RemoteError:
    """What went wrong with the shared cache at an address, in one line and without secrets."""
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    words = clean(f"{address}: {first}", secrets, limit=300)
    return RemoteError(f"the shared cache cannot be used: {words}")
