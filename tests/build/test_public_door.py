"""The package's public names, from a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import imgbuild
from imgbuild.core.plan.action import Plan


def test_the_public_names_are_these():
    assert sorted(imgbuild.__all__) == [
        "ImgbuildError", "Manifest", "Plan", "__version__", "build", "load", "plan",
    ]  # fmt: skip
    assert all(hasattr(imgbuild, name) for name in imgbuild.__all__)


def test_a_program_can_load_plan_and_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGBUILD_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "imgbuild.yaml").write_text(
        "version: 1\nimages:\n  hero: {prompt: x, size: 8x8, output: hero.png}\n"
    )
    workspace = imgbuild.load(tmp_path)
    plan = imgbuild.plan(workspace)
    assert isinstance(plan, Plan)
    assert plan.summary().generated == 1
    statuses = []
    assert imgbuild.build(workspace, emit=lambda event: statuses.append(event.event)) == 0
    assert statuses[-1] == "summary"
    assert imgbuild.plan(imgbuild.load(tmp_path / "imgbuild.yaml")).idle


def test_errors_have_one_base(tmp_path: Path):
    (tmp_path / "imgbuild.yaml").write_text("version: 1\nimages: {a: {}}\n")
    with pytest.raises(imgbuild.ImgbuildError):
        imgbuild.load(tmp_path)


def test_opening_the_package_imports_nothing_heavy():
    code = "import sys, imgbuild; print(sorted(m for m in sys.modules if m.partition('.')[0] in {'pydantic', 'httpx', 'jinja2', 'diskcache', 'yaml', 'asyncio', 'rich', 'pyvips'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
