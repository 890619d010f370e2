"""Whether git is just changing the files of a checkout: half of it is nothing to build from."""

from __future__ import annotations

import time
from pathlib import Path

_STALE = 10.0
"""Seconds after which a lock is that of a git that was killed."""


def git_lock(root: Path) -> Path | None:
    """The file that git holds while it changes the checkout that a folder lies in; None outside of one."""
    for folder in (root, *root.parents):
        entry = folder / ".git"
        if entry.is_dir():
            return entry / "index.lock"
        if entry.is_file():
            # A worktree or a submodule: the file names the folder.
            return _named(entry)
    return None


def is_held(lock: Path) -> bool:
    """Whether a git is at work."""
    try:
        return time.time() - lock.stat().st_mtime < _STALE
    except OSError:
        return False


def _named(entry: Path) -> Path | None:
    try:
        word, _, path = entry.read_text(encoding="utf-8").strip().partition(": ")
    except (OSError, ValueError):
        return None
    return entry.parent / path / "index.lock" if word == "gitdir" else None
