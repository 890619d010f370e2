"""What the files of a project were when a session last looked, and which are something else by now.

By status and digest, never by time or by who told of it: so a session does not react to what it wrote itself,
to a file that was saved without a change, or to what lies beside the files that decide.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from imgbuild.run.facts import digest_output
from imgbuild.run.observed import Observed
from imgbuild.store.index import (
    ABSENT,
    NO_DIGEST,
    PLAIN_FOLDER,
    Seen,
    believable,
    digest_of,
    names_in,
    status_of,
)

_UNKNOWN = (-3, 0, 0, 0)
"""A status that no file has."""


def is_editors_own(name: str) -> bool:
    """Whether an editor keeps a file of this name beside the one that it saves, for itself."""
    return (
        name in ("4913", "5036")
        or name.startswith(("#", "___jb_"))
        or name.endswith(("~", "#", ".swp", ".swx", ".swo", ".tmp", ".bak", ".orig"))
    )


class Expected:
    """The files that decide, as they should be found. Paths are relative to the project."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, Seen] = {}
        self._names: Mapping[str, frozenset[str]] = {}
        self._outputs: dict[str, Seen | None] = {}
        self._made: frozenset[str] = frozenset()
        self._made_folders: frozenset[str] = frozenset()

    def take(self, observed: Observed, outputs: Collection[str] = (), also: Collection[str] = ()) -> None:
        """From now on, what was noted is expected.

        `outputs`: files that are only made here: what becomes of them does not count yet. `also`: those
        among them that decide all the same, since images refer to them.
        """
        self._note_made(outputs)
        made = self._made - frozenset(also)
        self._names = dict(observed.names)
        self._files = {
            path: seen
            for path, seen in observed.seen.items()
            if path not in made and (path not in self._names and path != ".")
        }
        self._outputs = {}

    def expect(self, path: str, digest: bytes | None) -> None:
        """A file has these bytes now (None: it is not there), whatever its status is."""
        self._files[path] = (_UNKNOWN, NO_DIGEST if digest is None else digest)

    def expect_outputs(self, outputs: Mapping[str, str | None], observed: Observed) -> None:
        """Outputs have these digests now, or words that stand for one; None: they are not there.

        `observed`: what was noted of them before some of them were written.
        """
        nothing = (_UNKNOWN, NO_DIGEST)
        self._outputs = {}
        for path, digest in outputs.items():
            status, before = observed.seen.get(path, nothing)
            same = before.hex() == digest
            self._outputs[path] = None if digest is None else (status if same else _UNKNOWN, digest.encode())
        self._note_made({*self._made, *outputs})

    @property
    def count(self) -> int:
        """How many files are looked after."""
        files = (status for status, _ in self._files.values() if status not in (ABSENT, PLAIN_FOLDER))
        return sum(1 for _ in files) + len(self._outputs.keys() - self._files.keys())

    def folders(self) -> frozenset[str]:
        """The folders in which any of it lies or would lie, as far as they exist, absolute."""
        wanted = {path.rpartition("/")[0] for path in (*self._files, *self._outputs)}
        wanted |= {"" if name == "." else name for name in self._names}
        found: set[str] = {str(self._root)}
        for folder in wanted:
            while folder and f"{self._root}/{folder}" not in found:
                if os.path.isdir(f"{self._root}/{folder}"):  # noqa: PTH112 - for each folder
                    found.add(f"{self._root}/{folder}")
                folder = folder.rpartition("/")[0]
        return frozenset(found)

    def changed(self, lock: str, lock_digests: Collection[bytes] | None = None) -> list[str]:
        """What is something else than it should be, sorted.

        `lock_digests`: while a build goes on, the lock may be any of these.
        """
        now = time.time_ns()
        found = [
            path
            for path, seen in self._files.items()
            if not (path == lock and lock_digests is not None) and self._differs(path, seen, now)
        ]
        if lock_digests is not None and self._digest(lock) not in lock_digests:
            found.append(lock)
        found += [folder for folder, names in self._names.items() if self._has_other_names(folder, names)]
        found += [path for path, output in self._outputs.items() if self._is_other(path, output, now)]
        return sorted(set(found))

    def _differs(self, path: str, seen: Seen, now: int) -> bool:
        full = f"{self._root}/{path}"
        try:
            status = status_of(full)
            if status == seen[0]:
                return False
            if seen[0] == PLAIN_FOLDER:
                return not stat.S_ISDIR(os.lstat(full).st_mode)
            digest = NO_DIGEST if status == ABSENT else digest_of(full)
        except (OSError, ValueError):
            return True
        if digest != seen[1]:
            return True
        self._files[path] = (believable(status, now), digest)
        return False

    def _is_other(self, path: str, seen: Seen | None, now: int) -> bool:
        full = f"{self._root}/{path}"
        try:
            status = status_of(full)
            if seen is None:
                return status != ABSENT
            if status == seen[0]:
                return False
            found = digest_output(full, lambda _: digest_of(full).hex())
        except (OSError, ValueError):
            return True
        if found is None or found.encode() != seen[1]:
            return True
        self._outputs[path] = (believable(status, now), seen[1])
        return False

    def _digest(self, path: str) -> bytes:
        try:
            return digest_of(f"{self._root}/{path}")
        except (OSError, ValueError):
            return NO_DIGEST

    def _has_other_names(self, folder: str, before: Collection[str]) -> bool:
        full = str(self._root) if folder in ("", ".") else f"{self._root}/{folder}"
        try:
            now = names_in(full)
        except (OSError, ValueError):
            now = []
        return {*self._counted(folder, now)} != {*self._counted(folder, before)}

    def _note_made(self, paths: Collection[str]) -> None:
        self._made = frozenset(paths)
        folders: set[str] = set()
        for path in self._made:
            folder = path.rpartition("/")[0]
            while folder and f"{folder}/" not in folders:
                folders.add(f"{folder}/")
                folder = folder.rpartition("/")[0]
        self._made_folders = frozenset(folders)

    def _counted(self, folder: str, names: Collection[str]) -> Iterator[str]:
        """The names in a folder that others may have brought there; those of folders end with a slash."""
        prefix = "" if folder in ("", ".") else f"{folder}/"
        for name in names:
            path = f"{prefix}{name}"
            if path not in self._made and path not in self._made_folders and not is_editors_own(name):
                yield name
