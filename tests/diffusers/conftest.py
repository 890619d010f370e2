"""Projects with tiny local pipelines; left out where the extra is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from project_folder import ProjectFolder
from torch_zygote import OPENED, TorchZygote

NEEDED = ("accelerate", "diffusers", "peft", "torch", "transformers")
MANIFEST = """\
version: 1
providers:
  local: {type: diffusers, options: {device: cpu, folder: ../models}}
defaults: {provider: local, model: tiny, params: {steps: 2}}
images:
  fox: {prompt: a fox, size: 64x64, output: out/fox.png}
"""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Nothing here is imported without what it is about."""
    return True if any(find_spec(name) is None for name in NEEDED) else None


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pipelines tiny, other and pickled, and a LoRA."""
    folder = tmp_path_factory.mktemp("pipelines")
    program = Path(__file__).with_name("tiny_pipelines.py")
    environ = {"HOME": str(folder), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, program, folder], env=environ, capture_output=True, check=True)
    return folder


@pytest.fixture(scope="session")
def torch_zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchZygote]:
    running = TorchZygote(tmp_path_factory.mktemp("torch"))
    yield running
    running.close()


@pytest.fixture
def studio(
    new_project: Callable[..., ProjectFolder], torch_zygote: TorchZygote, pipelines: Path, tmp_path: Path
) -> ProjectFolder:
    """A project beside a folder with models of its own, whose commands need not import torch first."""
    shutil.copytree(pipelines, tmp_path / "models")
    project = new_project()
    project.zygote = torch_zygote
    project.environ[OPENED] = str(tmp_path / "opened")
    project.manifest(MANIFEST)
    let_age(tmp_path / "models")
    return project


def let_age(folder: Path) -> None:
    """What is as young as the clock's last tick is looked at again by whoever sees it."""
    newest = max(path.stat().st_ctime_ns for path in folder.rglob("*"))
    while time.time_ns() < newest + 100_000_000:
        time.sleep(0.01)
