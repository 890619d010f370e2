"""The project's files on disk, seen from the manifest's folder and never from outside of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import translate
from pathlib import Path
from re import compile as compile_pattern

from imgbuild.core.errors import StorageError
from imgbuild.core.manifest.project import FileProblem
from imgbuild.run.observed import Observed
from imgbuild.store.inside import LEFT, open_file, problem_of, real_path

_MAGIC = frozenset("*?[")


class DiskFiles:
    """`ProjectFiles` over a folder. Symbolic links are followed as long as they stay inside.

    What is read and listed is noted in `observed`.
    """

    def __init__(self, root: Path, observed: Observed | None = None) -> None:
        self._root = root
        self._observed = observed
        self._folders: dict[str, tuple[str | None, bool]] = {}

    def read(self, path: str, limit: int) -> bytes:
        """A regular file's bytes, at most `limit`. Raises FileProblem."""
        reason = self.problem(path)
        if reason:
            raise FileProblem(reason)
        try:
            with os.fdopen(open_file(self._root, path), "rb") as file:
                data = file.read(limit + 1)
        except StorageError:
            raise FileProblem(LEFT) from None
        except (OSError, ValueError) as error:
            raise FileProblem(_reason(error)) from None
        if len(data) > limit:
            raise FileProblem(f"is larger than {limit:,} bytes")
        if self._observed:
            self._observed.content(path, data)
        return data

    def glob(self, pattern: str) -> Sequence[str]:
        """Files that match, sorted. `**` is any folders; hidden files and folders are skipped."""
        parts = [p for p in pattern.split("/") if p]
        return sorted(set(self._walk("", parts, set()))) if parts else []

    def problem(self, path: str) -> str | None:
        """Why a file cannot be read, or None."""
        reason = self._problem(path)
        if reason and self._observed:
            # That it is not there decides as much as what would be in it.
            self._observed.look(path)
        return reason

    def _problem(self, path: str) -> str | None:
        try:
            left = problem_of(real_path(self._root, path))
            if left:
                return left
            mode = os.stat(self._root / path).st_mode  # noqa: PTH116 - the path is text everywhere here
        except (OSError, ValueError) as error:
            return _reason(error)
        if stat.S_ISDIR(mode):
            return "is a folder"
        return None if stat.S_ISREG(mode) else "is no regular file"

    def output_problem(self, path: str) -> str | None:
        """Why a file cannot be written inside the project, or None."""
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = self._folder_problem(folder), self._has_folders(folder)
        problem, has_folders = self._folders[folder]
        if problem or not has_folders:
            return problem
        return "is a folder" if os.path.isdir(f"{self._root}/{path}") else None  # noqa: PTH112 - for each image

    def _has_folders(self, folder: str) -> bool:
        """Whether any of a folder's names can be a folder: to list them is cheaper than to ask of each."""
        try:
            with os.scandir(self._root / folder) as entries:
                return any(entry.is_dir() for entry in entries)
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            return True

    def _folder_problem(self, folder: str) -> str | None:
        try:
            left = problem_of(real_path(self._root, folder))
            if left:
                return left
            existing = self._root / folder
            while not os.path.lexists(existing):
                existing = existing.parent
            return None if existing.is_dir() else "is below something that is not a folder"
        except (OSError, ValueError) as error:
            return _reason(error)

    def _walk(self, folder: str, parts: Sequence[str], walked: set[tuple[str, int, str]]) -> Iterator[str]:
        place = (folder, len(parts), parts[0])
        if place in walked:
            # Through several "**" there are many ways to the same place, in deep folders millions.
            return
        walked.add(place)
        head, rest = parts[0], parts[1:]
        if head == "**":
            # "**" at the end means every file below; "**/**" is "**".
            yield from self._walk(folder, rest or ["*"], walked)
            for name in self._names(folder, folders=True):
                # A linked folder may lead to itself.
                if not (self._root / folder / name).is_symlink():
                    yield from self._walk(_join(folder, name), parts, walked)
            return
        if not _MAGIC.intersection(head):
            # Not looked for among its neighbours: what becomes of those is then nobody's business.
            if head.startswith("."):
                return
            path = _join(folder, head)
            if rest:
                yield from self._walk(path, rest, walked)
            elif self._is_file(path):
                yield path
            return
        match = compile_pattern(translate(head)).match
        for name in self._names(folder, folders=bool(rest)):
            if match(name):
                path = _join(folder, name)
                if rest:
                    yield from self._walk(path, rest, walked)
                else:
                    yield path

    def _is_file(self, path: str) -> bool:
        if self._observed:
            self._observed.look(path)
        try:
            return (self._root / path).is_file()
        except OSError:
            return False

    def _names(self, folder: str, *, folders: bool) -> list[str]:
        if self._observed:
            self._observed.list(folder)
        try:
            # What lies outside is nobody's business, not even by name.
            if real_path(self._root, folder) is None:
                return []
            with os.scandir(self._root / folder) as entries:
                found = [e.name for e in entries if (e.is_dir() if folders else e.is_file())]
        except OSError:
            return []
        return [name for name in found if not name.startswith(".") and _is_text(name)]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= c <= "\udfff" for c in name)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "does not exist"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    return "cannot be read"
