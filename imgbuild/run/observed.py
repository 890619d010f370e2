"""What a run looks at: digests of files, read once as long as their status stays, and noted for the index."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from imgbuild.core.errors import StorageError
from imgbuild.store.fsio import storage_errors, write_atomic
from imgbuild.store.index import (
    ABSENT,
    NO_DIGEST,
    PLAIN_FOLDER,
    TICK,
    Index,
    Seen,
    Status,
    believable,
    digest_of,
    facts_of,
    index_path,
    names_in,
    status_in,
    status_of,
)
from imgbuild.store.remembered import ensure_token
from imgbuild.store.workdir import Workdir

_LINKS = 40
"""Links in a row that are followed, as Linux has it."""


class Observed:
    """The files and folders of a project that decided about a run. Paths are relative to the project.

    What changes while the run goes on changes after it began, and then its status is not believed.
    `earlier`: what a run of this process has noted before; else what the last index knows.
    """

    def __init__(
        self,
        root: Path,
        manifest: str,
        profile: str | None,
        earlier: Mapping[str, Seen] | None = None,
    ) -> None:
        self._root = root
        self._path = root / index_path(manifest, profile)
        self._began = time.time_ns()
        self._seen: dict[str, Seen] = {}
        self._names: dict[str, frozenset[str]] = {}
        """What was in the folders that were listed."""
        self._earlier = earlier

    @property
    def seen(self) -> Mapping[str, Seen]:
        """All that was noted, by path. What was listed is a folder, and its digest that of its names."""
        return self._seen

    @property
    def names(self) -> Mapping[str, frozenset[str]]:
        """What was in the folders that were listed."""
        return self._names

    def know(self, earlier: Mapping[str, Seen]) -> None:
        """Believe what was noted on another occasion, too, as long as the files have the same status."""
        self._earlier = {**earlier, **self._before()}

    def digest(self, path: str, now: os.stat_result | None = None) -> str:
        """The SHA-256 of a file's content, in hex; its bytes are read only if its status is new.

        `now`: its own status, where that was just looked at. Raises StorageError.
        """
        full = f"{self._root}/{path}"
        known = self._seen.get(path) or self._before().get(path)
        if known is None or known[0] != (status_in(now) if now else _status_if_any(full)):
            with storage_errors("read", Path(full)):
                if os.path.islink(full):
                    return self.digest(self._past_links(path))
                status = believable(status_of(full), self._began)
                known = (status, digest_of(full))
        self._seen[path] = known
        self._note_folders(path)
        return known[1].hex()

    def is_as(self, path: str, digest: str, size: int) -> bool:
        """Whether a file has this content, of `size` bytes; noted as `digest` does.

        One that has changed since the run began is not read: whoever reads the index has to do that in any
        case, and holds it against what is noted here. Raises StorageError.
        """
        with storage_errors("read", self._root / path):
            now = os.lstat(f"{self._root}/{path}")
        status = believable(status_in(now), self._began)
        if stat.S_ISREG(now.st_mode) and status != status_in(now):
            self._seen[path] = (status, bytes.fromhex(digest))
            self._note_folders(path)
            return now.st_size == size
        return self.digest(path, now) == digest

    def content(self, path: str, data: bytes) -> None:
        """Note a file that was read whole, and the links that led to it."""
        with suppress(OSError, ValueError):
            path = self._past_links(path)
            status = believable(status_of(f"{self._root}/{path}"), self._began)
            self._seen[path] = (status, hashlib.sha256(data).digest())
            self._note_folders(path)

    def look(self, path: str) -> None:
        """Note a file, a folder's names, a link, or nothing at all. What cannot be read is left out."""
        full = f"{self._root}/{path}" if path else str(self._root)
        with suppress(OSError, ValueError):
            status = status_of(full)
            digest = NO_DIGEST if status == ABSENT else digest_of(full)
            self._seen[path or "."] = (believable(status, self._began), digest)
            self._note_folders(path)

    def list(self, folder: str) -> None:
        """Note a folder for the names in it. One that cannot be listed is left out."""
        with suppress(OSError, ValueError):
            folder = self._past_links(folder)
            self._names[folder] = frozenset(names_in(f"{self._root}/{folder}"))
        self.look(folder)

    def has_listed_all(self, made: Collection[str]) -> bool:
        """Whether the listed folders have got no other names since than those of files made here."""
        for folder, names in self._names.items():
            self.list(folder)
            now = self._names[folder]
            if names - now or {f"{folder}/{name}".lstrip("/") for name in now - names} - {*made}:
                return False
        return True

    def keep(
        self, cache: Path, version: str, environ: Mapping[str, str], text: str, json: str, *, locked: bool
    ) -> None:
        """Write the index: with all that was seen, nothing is to be done, and this is said.

        It is a convenience: where it cannot be written, there is none.
        """
        with suppress(StorageError, OSError, ValueError):
            ensure_token(environ)
            facts = facts_of(version, environ, str(cache), locked=locked)
            before = time.time_ns()
            Workdir(self._root).ensure()
            write_atomic(self._path, Index(facts, text, json, self._seen).pack(), sync=False)
            # A file system whose clock is behind ours could hide a change from us.
            if self._path.stat().st_mtime_ns < before - TICK:
                self._path.unlink()

    def _past_links(self, path: str) -> str:
        """The path that a path leads to; the links are noted. Raises OSError."""
        for _ in range(_LINKS):
            full = f"{self._root}/{path}"
            if not os.path.islink(full):
                return path
            self.look(path)
            path = os.path.relpath(os.path.join(os.path.dirname(full), os.readlink(full)), self._root)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def _note_folders(self, path: str) -> None:
        """The folders on the way are folders: a link in their place would lead somewhere else."""
        folder = path.rpartition("/")[0]
        while folder and folder not in self._seen:
            status = status_of(f"{self._root}/{folder}")
            if os.path.islink(f"{self._root}/{folder}"):
                self._seen[folder] = (believable(status, self._began), digest_of(f"{self._root}/{folder}"))
            elif status != ABSENT:
                self._seen[folder] = (PLAIN_FOLDER, NO_DIGEST)
            folder = folder.rpartition("/")[0]

    def _before(self) -> Mapping[str, Seen]:
        """What the last index knows."""
        if self._earlier is None:
            self._earlier = {}
            with suppress(OSError, ValueError, TypeError, LookupError):
                index = Index.unpack(self._path.read_bytes())
                self._earlier = index.seen() if index else {}
        return self._earlier


def _status_if_any(path: str) -> Status | None:
    try:
        return status_of(path)
    except (OSError, ValueError):
        return None
