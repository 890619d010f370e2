"""A fleet of two workers for each file, and a project with something to do for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from project_folder import ProjectFolder

pytest.importorskip("distributed")

if TYPE_CHECKING:
    from fleet_machines import Machines

DRAW = """\
import json, os, sys
import pyvips
request = json.load(sys.stdin)
with open("runs.log", "a") as log:
    log.write(json.dumps({"worker": os.getppid(), "environ": dict(os.environ), **request}) + "\\n")
width, height = request.get("size", [64, 64])
shade = sum(request["prompt"].encode()) + request["take"]
picture = pyvips.Image.xyz(width, height)[0] + shade
if request["references"]:
    picture += pyvips.Image.new_from_file(request["references"][0]).avg()
sys.stdout.buffer.write((picture % 256).cast("uchar").copy(interpretation="b-w").write_to_buffer(".png"))
"""
PAINTER = f"""\
version: 1
providers:
  painter: {{type: command, command: ["{sys.executable}", draw.py], options: {{env: [PAINT_LEVEL]}}}}
defaults: {{provider: painter}}
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Machines]]:
    """Starts schedulers without workers."""
    from fleet_machines import Machines

    started: list[Machines] = []

    def start() -> Machines:
        started.append(Machines(tmp_path_factory.mktemp("fleet")))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(scope="module")
def fleet(machines: Callable[[], Machines]) -> Machines:
    """A scheduler and two workers with a thread each. No test kills them."""
    found = machines()
    for name in ("ann", "bob"):
        found.worker(name)
    return found


@pytest.fixture
def painter(new_project: Callable[..., ProjectFolder]) -> Callable[..., ProjectFolder]:
    """Makes projects whose pictures are drawn by a program that the user trusts."""

    def make(images: str, name: str = "project", cache: str | None = None) -> ProjectFolder:
        project = new_project(name, cache or f"cache-{name}")
        project.write("draw.py", DRAW)
        project.manifest(PAINTER + "images:\n" + images)
        project.environ["IMGBUILD_TRUSTED_ORIGINS"] = "painter"
        project.environ["PAINT_LEVEL"] = "7"
        return project

    return make
