"""The keys of all tests begin alike, so that one search through everything that a run wrote finds any of them."""

from __future__ import annotations

import mmap
from pathlib import Path

CANARY = b"sk-canary-"
"""How every key begins that a test gives to imgbuild."""


def files_with_keys(folder: Path) -> list[str]:
    """The files below a folder that hold a key, or have one in their name; those that tests write by hand not.

    Keys belong into `.env`; a manifest holds one only where a test is about that mistake.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.name == ".env" or path.suffix in (".yaml", ".yml"):
            continue
        if CANARY.decode() in path.name or _holds(path):
            found.append(str(path.relative_to(folder)))
    return found


def _holds(path: Path) -> bool:
    with path.open("rb") as file:
        # Some files are larger than memory should be.
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(CANARY) >= 0
