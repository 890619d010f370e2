"""The keys of all tests begin alike, so that one search through everything that a run wrote finds any of them."""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

CANARY = b"sk-canary-"
"""How every key begins that a test gives to imgbuild."""

_MAPPED = 1 << 20
"""Bytes from which a file is mapped: some are larger than memory should be, most are read faster than mapped."""


def files_with_keys(folder: Path, searched: Collection[str] = ()) -> list[str]:
    """The files below a folder that hold a key, or have one in their name; those that tests write by hand not.

    Keys belong into `.env`; a manifest holds one only where a test is about that mistake. Folders that were
    `searched` already are left out.
    """
    return sorted(os.path.relpath(path, folder) for path in _paths_with_keys(os.fspath(folder), searched))


def _paths_with_keys(folder: str, searched: Collection[str]) -> Iterator[str]:
    # What still runs in the folder may remove what was listed.
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.path in searched:
                continue
            if CANARY.decode() in entry.name:
                yield entry.path
            elif entry.is_dir(follow_symlinks=False):
                yield from _paths_with_keys(entry.path, searched)
            elif entry.is_file(follow_symlinks=False):
                written_by_hand = entry.name == ".env" or entry.name.endswith((".yaml", ".yml"))
                if not written_by_hand and _holds(entry.path):
                    yield entry.path


def _holds(path: str) -> bool:
    with suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:  # noqa: PTH123
        if os.fstat(file.fileno()).st_size < _MAPPED:
            return CANARY in file.read()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(CANARY) >= 0
    return False
