"""A project in a folder, for tests of the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from imgbuild.core.errors import Diagnostic, ManifestError
from imgbuild.core.manifest.load import load_project
from imgbuild.core.manifest.project import Project
from imgbuild.run.files import DiskFiles


class Workbench:
    """A project folder: write files, load the manifest, read what is wrong with it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def load(self, text: str, files: Mapping[str, str | bytes] | None = None, **options: str) -> Project:
        self.write({"imgbuild.yaml": text, **(files or {})})
        return load_project("imgbuild.yaml", DiskFiles(self.root), **options)

    def errors(self, text: str, files: Mapping[str, str | bytes] | None = None) -> list[Diagnostic]:
        with pytest.raises(ManifestError) as caught:
            self.load(text, files)
        return list(caught.value.diagnostics)

    def error(self, text: str, files: Mapping[str, str | bytes] | None = None) -> Diagnostic:
        found = self.errors(text, files)
        assert len(found) == 1, [f"{d.position}: {d.message}" for d in found]
        return found[0]
