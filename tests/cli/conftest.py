"""The real command, run in a folder of its own with nothing of the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from zygote import Zygote

REPOSITORY = Path(__file__).resolve().parents[2]
AT_ITS_START = ("PYTHON", "LC_", "LANG")
"""Variables that Python reads when it starts: only a process of its own sees them."""


@dataclass(frozen=True)
class Shell:
    """A project folder and an environment; calling it runs imgbuild there."""

    root: Path
    environ: dict[str, str]
    zygote: Zygote

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        if not any(name.startswith(AT_ITS_START) for name in variables):
            # A Shell has what a zygote needs to know of a project.
            run = self.zygote.start(self, *arguments, **variables).wait()  # type: ignore[arg-type]
            return subprocess.CompletedProcess(arguments, run.code, run.out, run.err)
        return subprocess.run(
            [sys.executable, "-m", "imgbuild", *arguments],
            cwd=self.root,
            env={**self.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def write(self, text: str, name: str = "imgbuild.yaml") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture
def imgbuild(tmp_path: Path, zygote: Zygote) -> Shell:
    """Runs the command in `tmp_path/project`; home, cache and logs are below `tmp_path` too."""
    root = tmp_path / "project"
    root.mkdir()
    folders = {
        "HOME": "home",
        "XDG_CACHE_HOME": "home/cache",
        "XDG_CONFIG_HOME": "home/config",
        "XDG_STATE_HOME": "home/state",
        "XDG_DATA_HOME": "home/data",
        "IMGBUILD_CACHE_DIR": "cache",
    }
    environ = {name: str(tmp_path / folder) for name, folder in folders.items()}
    environ |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "LC_ALL": "C.UTF-8"}
    return Shell(root, environ, zygote)


@pytest.fixture
def project(imgbuild: Shell) -> Shell:
    """A project of two placeholder images."""
    imgbuild.write(
        "version: 1\n"
        "images:\n"
        "  hero: {prompt: a harbour at dusk, size: 120x63, output: out/hero.png, tags: [big]}\n"
        "  icon: {prompt: a lighthouse, size: 32x32, output: out/icon.png}\n"
    )
    return imgbuild
