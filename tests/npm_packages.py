"""What tests install from npm's registry, to drive real tools with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_OFFLINE = ("EAI_AGAIN", "ENOTFOUND", "ENETUNREACH", "ECONNREFUSED")
# No package's scripts run, and no lock file is left. npm's own cache, the user's, makes the second time fast.
_WORDS = ("install", "--prefer-offline", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund")


class NotHereError(Exception):
    """A program or the registry is missing on this machine; says which."""


def program(name: str) -> str:
    """The path of a program. Raises NotHereError."""
    found = shutil.which(name)
    if found is None:
        raise NotHereError(f"{name} is not installed")
    return found


def install_packages(folder: Path) -> None:
    """Install what a folder's package.json names. On CI the registry has to be there.

    Raises:
        NotHereError: there is no npm, or its registry is out of reach.
    """
    words = [program("npm"), *_WORDS, "--loglevel=error"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=100)
    if any(word in done.stderr for word in _OFFLINE) and os.environ.get("CI") != "true":
        raise NotHereError("npm's registry is out of reach")
    assert done.returncode == 0, done.stderr
