"""Fixtures of this folder: certificates that this run makes, and projects whose pictures they sign."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import STUDIO, ProjectFolder
from signed_files import IMAGES, SIGNED
from signers import Signer, make_signer


@pytest.fixture(scope="session")
def signer() -> Signer:
    return make_signer()


@pytest.fixture
def sign(signer: Signer, tmp_path: Path) -> Callable[..., None]:
    """Gives a project a certificate, its manifest the settings, and its environment the key: a file outside."""

    def make(project: ProjectFolder, with_: Signer = signer, *, key: bool = True) -> None:
        project.write("certs/signing.pem", with_.chain)
        text = (project.root / "imgbuild.yaml").read_text()
        if SIGNED not in text:
            project.manifest(text.replace("images:\n", f"{SIGNED}images:\n", 1))
        if key:
            file = tmp_path / f"key-{project.root.name}.pem"
            file.write_bytes(with_.key)
            project.environ["IMGBUILD_C2PA_KEY"] = str(file)

    return make


@pytest.fixture
def plain(project: ProjectFolder, emulator) -> ProjectFolder:
    """A project whose pictures nobody signs."""
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    return project


@pytest.fixture
def signed(plain: ProjectFolder, sign: Callable[..., None]) -> ProjectFolder:
    """The same with a signer; nothing is built yet."""
    sign(plain)
    return plain
