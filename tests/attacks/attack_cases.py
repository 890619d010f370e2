"""How many cases of an attack are played, and what a folder holds before and after it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

FULL = os.environ.get("IMGBUILD_TESTS_FULL") == "1"
T = TypeVar("T")


def sample(cases: Iterable[T], every: int) -> list[T]:
    """All cases in the full run, else one of so many."""
    return [*cases][:: 1 if FULL else every]


def tree(folder: Path) -> dict[str, bytes | str]:
    """Everything below a folder: files' bytes, links' targets."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder"
    return found
