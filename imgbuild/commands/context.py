"""What every verb is given: the display, and where and how imgbuild was called."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.core.errors import UsageError
from imgbuild.ui.display import Display

if TYPE_CHECKING:
    from imgbuild.run.interruption import Interruption
    from imgbuild.run.workspace import Invocation

MANIFEST = "imgbuild.yaml"
_PROFILE = re.compile(r"[^\W][\w.-]*")


@dataclass(frozen=True, slots=True)
class Context:
    """One call of imgbuild. `directory`, `file` and `profile` are as they were written."""

    display: Display
    environ: Mapping[str, str]
    interruption: Interruption
    directory: str | None = None
    file: str | None = None
    profile: str | None = None

    @property
    def folder(self) -> Path:
        """Where to work.

        Raises:
            UsageError: no such folder.
        """
        folder = Path(self.directory or ".")
        if not folder.is_dir():
            raise UsageError(f'there is no folder "{folder}"', remedy="-C names the folder to work in")
        return folder

    def manifest(self) -> Path:
        """The manifest's path, whether or not there is such a file.

        Raises:
            UsageError: no such folder.
        """
        return self.folder / (self.file or MANIFEST)

    def invocation(
        self,
        *,
        placeholder: bool = False,
        needs_manifest: bool = True,
        offline: bool = False,
        require_remote: bool = False,
    ) -> Invocation:
        """How this call reaches its project.

        Raises:
            UsageError: no such folder, no manifest there, or an impossible profile name.
        """
        if self.profile is not None and not _PROFILE.fullmatch(self.profile):
            raise UsageError(f'"{self.profile}" cannot be the name of a profile')
        path = self.manifest()
        if needs_manifest and not path.is_file():
            raise UsageError(f"there is no {path.as_posix()}", remedy=_how_to_start(path))
        root = Path(os.path.relpath(path.parent.resolve()))
        # Imported after the checks: a mistake on the command line is answered at once.
        from imgbuild.run.workspace import Invocation

        return Invocation(
            path.parent.resolve(),
            path.name,
            self.profile,
            placeholder,
            self.environ,
            "" if root == Path() else root.as_posix(),
            offline,
            require_remote,
        )


def _how_to_start(path: Path) -> str:
    for parent in path.parent.resolve().parents:
        if (parent / MANIFEST).is_file():
            return f'there is one further up: imgbuild -C "{os.path.relpath(parent)}"'
    return 'write a first one with "imgbuild init", or name another with -f FILE'
