"""The in-memory twin of a shared cache, for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from imgbuild.store.remote.base import checked_name


class MemoryRemote:
    """A shared cache that lives as long as this object. `blobs` and `records` may be tampered with."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.records: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()

    def read_blob(self, digest: str, take: Callable[[bytes], None]) -> bool:
        """Hand a blob's bytes to `take`, in pieces."""
        data = self.blobs.get(digest)
        if data is None:
            return False
        for start in range(0, len(data), 1 << 16):
            take(data[start : start + (1 << 16)])
        return True

    def has_blob(self, digest: str) -> bool:
        """Whether there is such a blob."""
        return digest in self.blobs

    def write_blob(self, digest: str, path: Path) -> bool:
        """Store a blob from a file."""
        new = digest not in self.blobs
        if new:
            self.blobs[digest] = path.read_bytes()
        return new

    def read_record(self, scope: str, name: str) -> bytes | None:
        """A record; None if there is none."""
        return self.records.get((scope, checked_name(name)))

    def write_record(self, scope: str, name: str, data: bytes, blobs: Mapping[str, int]) -> None:
        """Store a record in place of an older one."""
        self.records[scope, checked_name(name)] = data

    def create_record(self, scope: str, name: str, data: bytes) -> bool:
        """Store a record only if there is none."""
        with self._lock:
            return self.records.setdefault((scope, checked_name(name)), data) is data

    def delete_record(self, scope: str, name: str) -> None:
        """Remove a record, if it is there."""
        self.records.pop((scope, checked_name(name)), None)

    def close(self) -> None:
        """Nothing is open."""
