"""A provider in a package of its own: installed beside imgbuild, found by name, used like any other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "imgbuild_checkers"
MANIFEST = """\
version: 1
providers:
  board: {type: checkers}
images:
  board: {provider: board, prompt: black and white, size: 96x64, params: {squares: 6}, output: board.png}
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package is installed into, without a network."""
    source, target = tmp_path_factory.mktemp("source") / "checkers", tmp_path_factory.mktemp("target")
    # Building leaves files behind.
    shutil.copytree(PACKAGE, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile"]
    subprocess.run([*pip, *offline, "--target", str(target), str(source)], check=True)
    return target


@pytest.fixture
def imgbuild(tmp_path: Path, installed: Path) -> Run:
    """The real command in a project, with the package on its path unless told otherwise."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "imgbuild.yaml").write_text(MANIFEST)

    def run(*words: str, path: str = str(installed)) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "IMGBUILD_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONPATH": path,
        }
        command = [sys.executable, "-m", "imgbuild", *words]
        return subprocess.run(
            command, cwd=tmp_path / "project", env=environ, capture_output=True, text=True, check=False
        )

    return run


def test_it_builds_and_has_a_key_of_its_own(imgbuild: Run, tmp_path: Path) -> None:
    built = imgbuild("build", "--output-format", "json")
    assert built.returncode == 0, built.stderr
    summary = json.loads(built.stdout.splitlines()[-1])
    assert (summary["generated"], summary["submitted"], summary["cost"]) == (1, 0, 0)
    entry = json.loads((tmp_path / "project" / "imgbuild.lock").read_text())["images"]["board"]
    assert (entry["provider"], entry["source"]["width"], entry["source"]["height"]) == ("checkers", 96, 64)
    assert (tmp_path / "project" / "board.png").read_bytes().startswith(b"\x89PNG")
    again = imgbuild("build", "--output-format", "json")
    assert json.loads(again.stdout.splitlines()[-1])["unchanged"] == 1


def test_its_limits_are_checked_before_anything_runs(imgbuild: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "project" / "imgbuild.yaml"
    manifest.write_text(MANIFEST.replace("squares: 6", "circles: 6"))
    checked = imgbuild("check")
    assert checked.returncode == 2
    assert 'does not know the parameter "circles"' in checked.stderr
    assert "allowed: squares" in checked.stderr


def test_its_failures_are_like_any_others(imgbuild: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "project" / "imgbuild.yaml"
    manifest.write_text(MANIFEST.replace("squares: 6", "squares: 0"))
    built = imgbuild("build", "--output-format", "json")
    assert built.returncode == 1
    [image] = [e for e in map(json.loads, built.stdout.splitlines()) if e["event"] == "image"]
    assert image["error"]["kind"] == "invalid"


def test_without_the_package_the_type_is_unknown(imgbuild: Run) -> None:
    checked = imgbuild("check", path="")
    assert checked.returncode == 2
    assert 'there is no provider type "checkers"' in checked.stderr
