"""The project's files on disk, seen from the manifest's folder and never from outside of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import translate
from pathlib import Path
from re import compile as compile_pattern

from imgbuild.core.manifest.project import FileProblem
from imgbuild.run.observed import Observed

_MAGIC = frozenset("*?[")
_LEFT = "leads out of the project through a symbolic link"


class DiskFiles:
    """`ProjectFiles` over a folder. Symbolic links are followed as long as they stay inside.

    What is read and listed is noted in `observed`.
    """

    def __init__(self, root: Path, observed: Observed | None = None) -> None:
        self._root = root
        self._observed = observed
        self._real = os.path.realpath(root)
        self._folders: dict[str, str | None] = {}

    def read(self, path: str, limit: int) -> bytes:
        """A regular file's bytes, at most `limit`. Raises FileProblem."""
        reason = self.problem(path)
        if reason:
            raise FileProblem(reason)
        try:
            # Not blocking: a pipe that somebody put there must not hang the build.
            descriptor = os.open(self._root / path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(descriptor, "rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise FileProblem(_reason(error)) from None
        if len(data) > limit:
            raise FileProblem(f"is larger than {limit:,} bytes")
        if self._observed:
            self._observed.content(path, data)
        return data

    def glob(self, pattern: str) -> Sequence[str]:
        """Files that match, sorted. `**` is any folders; hidden files and folders are skipped."""
        parts = [p for p in pattern.split("/") if p]
        return sorted(set(self._walk("", parts))) if parts else []

    def problem(self, path: str) -> str | None:
        """Why a file cannot be read, or None."""
        try:
            real = os.path.realpath(self._root / path)
            if not self._inside(real):
                return _LEFT
            mode = os.stat(real).st_mode  # noqa: PTH116 - the path is text everywhere here
        except (OSError, ValueError) as error:
            return _reason(error)
        if stat.S_ISDIR(mode):
            return "is a folder"
        return None if stat.S_ISREG(mode) else "is no regular file"

    def output_problem(self, path: str) -> str | None:
        """Why a file cannot be written inside the project, or None."""
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = self._folder_problem(folder)
        if self._folders[folder]:
            return self._folders[folder]
        return "is a folder" if os.path.isdir(f"{self._root}/{path}") else None  # noqa: PTH112 - for each image

    def _folder_problem(self, folder: str) -> str | None:
        try:
            if not self._inside(os.path.realpath(self._root / folder)):
                return _LEFT
            existing = self._root / folder
            while not os.path.lexists(existing):
                existing = existing.parent
            return None if existing.is_dir() else "is below something that is not a folder"
        except (OSError, ValueError) as error:
            return _reason(error)

    def _inside(self, real: str) -> bool:
        return real == self._real or real.startswith(self._real.rstrip(os.sep) + os.sep)

    def _walk(self, folder: str, parts: Sequence[str]) -> Iterator[str]:
        head, rest = parts[0], parts[1:]
        if head == "**":
            # "**" at the end means every file below; "**/**" is "**".
            yield from self._walk(folder, rest or ["*"])
            for name in self._names(folder, folders=True):
                # A linked folder may lead to itself.
                if not (self._root / folder / name).is_symlink():
                    yield from self._walk(_join(folder, name), parts)
            return
        if not _MAGIC.intersection(head):
            # Not looked for among its neighbours: what becomes of those is then nobody's business.
            if head.startswith("."):
                return
            path = _join(folder, head)
            if rest:
                yield from self._walk(path, rest)
            elif self._is_file(path):
                yield path
            return
        match = compile_pattern(translate(head)).match
        for name in self._names(folder, folders=bool(rest)):
            if match(name):
                path = _join(folder, name)
                if rest:
                    yield from self._walk(path, rest)
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
