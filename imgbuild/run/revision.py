"""Files as git has them at a revision: read as they are stored, by commands that no configuration reaches."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from imgbuild.core.errors import UsageError
from imgbuild.core.redact import clean

_SECONDS = 120
_QUIETLY = MappingProxyType(
    {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
)
"""It writes nothing, asks nothing, and fetches nothing that a partial clone has left out."""
_MISSING = 128
"""What git ends with where there is no repository, or no such object."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit of the repository that a folder lies in."""

    root: Path
    name: str
    """As the user wrote it."""
    commit: str
    environ: Mapping[str, str] = field(repr=False)

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file, by its path below the folder; None where there is none, or a larger one.

        They are what git stores: of a file in Git LFS, its pointer.
        """
        name = f"{self.commit}:./{path}"
        size = _git(self.root, self.environ, "cat-file", "-s", name)
        if size.returncode or int(size.stdout) > limit:
            return None
        found = _git(self.root, self.environ, "cat-file", "blob", name)
        return None if found.returncode else found.stdout

    def lfs_object(self, digest: str) -> Path:
        """Where Git LFS keeps the bytes of a digest, if it has them."""
        folder = _git(self.root, self.environ, "rev-parse", "--git-common-dir").stdout.decode().strip()
        return self.root / folder / "lfs" / "objects" / digest[:2] / digest[2:4] / digest


def find_revision(root: Path, name: str, environ: Mapping[str, str]) -> Revision:
    """The commit that a name means in the repository of `root`.

    Raises:
        UsageError: no git, no repository, or no such revision.
    """
    if name.startswith("-") or not name:
        raise UsageError(f'"{name}" is no revision', remedy="name a commit, a branch or a tag, e.g. HEAD~1")
    found = _git(root, environ, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if found.returncode == _MISSING and found.stderr:
        said = clean(found.stderr.decode(errors="replace").partition("\n")[0].removeprefix("fatal: "))
        if "not a git repository" in said:
            raise UsageError("this folder is not in a git repository, so there is nothing to compare with")
        raise UsageError(f"git cannot tell what {name} is: {said}")
    if found.returncode:
        raise UsageError(
            f'git knows no revision "{name}"', remedy="name a commit, a branch or a tag, e.g. HEAD~1"
        )
    return Revision(root, name, found.stdout.decode().strip(), environ)


def _git(root: Path, environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *words],
            cwd=root,
            env={**environ, **_QUIETLY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise UsageError("git is not installed, or not in PATH") from None
    except ValueError:
        raise UsageError("a revision's name cannot hold a null character") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"git has not answered within {_SECONDS} s") from None
