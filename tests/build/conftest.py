"""Fixtures that make project folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import ProjectFolder


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[..., ProjectFolder]:
    """Makes project folders: each with a home of its own, and one cache for all unless told otherwise."""

    def make(name: str = "project", cache: str = "cache") -> ProjectFolder:
        root, home = tmp_path / name, tmp_path / f"home-{name}"
        root.mkdir()
        home.mkdir()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "IMGBUILD_CACHE_DIR": str(tmp_path / cache),
            "STUDIO_KEY": "sk-canary-7f3a",
            "PYTHONWARNINGS": "error",
        }
        return ProjectFolder(root, environ)

    return make


@pytest.fixture
def project(new_project: Callable[..., ProjectFolder]) -> ProjectFolder:
    """One project folder, still empty."""
    return new_project()


@pytest.fixture
def copy_project(new_project: Callable[..., ProjectFolder]) -> Callable[..., ProjectFolder]:
    """A second checkout: the same files, without `.imgbuild/`, and without outputs unless asked for."""

    def copy(of: ProjectFolder, name: str, *, outputs: bool = False, cache: str = "cache") -> ProjectFolder:
        other = new_project(name, cache)
        skip = shutil.ignore_patterns(".imgbuild", *([] if outputs else ["out"]))
        shutil.copytree(of.root, other.root, dirs_exist_ok=True, ignore=skip)
        return other

    return copy
