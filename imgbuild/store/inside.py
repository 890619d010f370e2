"""Files of a project, reached without leaving it: no link is followed that leads out, whenever it was made.

A path is looked up once to see where its links lead. Then every folder on the way is opened in the one before
it, and none may be a link by now: so what was allowed is what is opened, also if somebody changes the folders
in between.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from imgbuild.core.errors import StorageError
from imgbuild.core.safepath import private_reason
from imgbuild.store.fsio import shown, storage_errors, sync_open_folder

LEFT = "leads out of the project through a symbolic link"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Where a folder was when it was looked up, there is a link now, or a file.
_SWAPPED = frozenset({errno.ELOOP, errno.ENOTDIR})


def real_path(root: Path, path: str) -> str | None:
    """Where a project's path really is, as a path of the project; None when it leads out. Raises OSError."""
    top, real = os.path.realpath(root), os.path.realpath(root / path)
    if real == top:
        return ""
    top = top.rstrip(os.sep) + os.sep
    return real.removeprefix(top) if real.startswith(top) else None


def open_file(root: Path, path: str) -> int:
    """A descriptor of a file, for reading. Raises OSError, and StorageError when it leads out by now."""
    real = _real(root, path)
    folder, _, name = real.rpartition("/")
    # Not blocking: a pipe that somebody put there must not hang the build.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with _opened(root, folder, create=False) as descriptor:
        return os.open(name, flags, dir_fd=descriptor)


@contextmanager
def folder_of(root: Path, path: str, *, create: bool = False) -> Iterator[int]:
    """A descriptor of a file's folder, made durably where it is missing if asked to.

    Raises:
        StorageError: the disk refuses, or the folder is not inside the project.
    """
    with (
        storage_errors("create the folder" if create else "open", (root / path).parent),
        ExitStack() as stack,
    ):
        folder = _real(root, path.rpartition("/")[0])
        yield stack.enter_context(_opened(root, folder, create=create))


def remove_inside(root: Path, path: str) -> bool:
    """Delete a file of the project. False when there was none. Raises StorageError."""
    try:
        with folder_of(root, path) as folder, storage_errors("delete", root / path):
            os.unlink(path.rpartition("/")[2], dir_fd=folder)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise
    return True


def problem_of(real: str | None) -> str | None:
    """Why what lies at the end of `real_path` may not be used, or None."""
    if real is None:
        return LEFT
    reason = private_reason(real)
    return f"leads through a symbolic link to {real!a}, which {reason}" if reason else None


def _real(root: Path, path: str) -> str:
    real = real_path(root, path)
    problem = problem_of(real)
    if real is None or problem:
        remedy = "remove the link, or name another path"
        raise StorageError(f"{shown(Path(path))} {problem}", remedy=remedy)
    return real


@contextmanager
def _opened(root: Path, folder: str, *, create: bool) -> Iterator[int]:
    """The folder at the end of `folder`, which has no links. Raises OSError."""
    with ExitStack() as stack:
        above: list[int] = []
        here = _open(stack, os.path.realpath(root), None)
        for part in filter(None, folder.split("/")):
            above.append(here)
            try:
                here = _open(stack, part, here)
            except FileNotFoundError:
                if not create:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=here)
                here = _open(stack, part, here)
        if create and not _is_used(here):
            # Nothing is put into a folder before it is durable. An empty one may be new, or was left by a
            # process that was killed before it made it so.
            for one in reversed(above):
                sync_open_folder(one)
        yield here


def _open(stack: ExitStack, name: str, folder: int | None) -> int:
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in _SWAPPED and folder is not None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from None
        raise
    stack.callback(os.close, descriptor)
    return descriptor


def _is_used(folder: int) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is not None
