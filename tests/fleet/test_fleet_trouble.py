"""Fleets that cannot be used, break down in mid-build, or would make other bytes."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from project_folder import ProjectFolder

import imgbuild

if TYPE_CHECKING:
    from fleet_machines import Machines

FULL = bool(os.environ.get("IMGBUILD_TESTS_FULL"))
CARDS = "version: 1\nimages:\n  fox: {prompt: a fox, size: 48x48, output: out/fox.png}\n"
PATIENT = """\
import json, os, pathlib, sys, time
import pyvips
request = json.load(sys.stdin)
name = request["prompt"]
first = not pathlib.Path(name).exists()
with open(name, "a") as log:
    log.write(f"{os.getppid()}\\n")
worker = os.getppid()
while first and os.getppid() == worker and not pathlib.Path("go").exists():
    time.sleep(0.02)
sys.stdout.buffer.write(pyvips.Image.black(8, 8).write_to_buffer(".png"))
"""


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found


def pids_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def patient(painter: Callable[..., ProjectFolder]) -> Callable[..., ProjectFolder]:
    """Makes projects whose program does not end the first time, for as long as its worker lives."""

    def make(images: int) -> ProjectFolder:
        names = "".join(f"  i{n}: {{prompt: p{n}, output: out/{n}.png}}\n" for n in range(images))
        project = painter(names)
        project.write("draw.py", PATIENT)
        return project

    return make


@pytest.mark.parametrize(
    "address", ["scheduler:8786", "http://scheduler:8786", "tcp://", "tcp://h:99999", "tcp://u@h:1"]
)
def test_an_address_that_is_none_is_a_mistake_on_the_command_line(
    project: ProjectFolder, address: str
) -> None:
    project.manifest(CARDS)
    run = project.run("build", "--dask", address)
    assert run.code == 2
    assert f'--dask: "{address}" is no address of a Dask scheduler; write tcp://HOST:PORT' in run.err
    project.manifest(CARDS + f"dask: {{address: '{address}'}}\n")
    run = project.run("check")
    assert run.code == 2
    assert "imgbuild.yaml:4:17: error: address: is no address of a Dask scheduler" in run.err


def test_a_scheduler_that_cannot_be_reached_stops_the_build_before_anything_is_done(
    project: ProjectFolder, emulator: Any
) -> None:
    from project_folder import STUDIO

    project.manifest(
        STUDIO.format(url=emulator.url) + "images:\n  fox: {prompt: a fox, output: out/fox.png}\n"
    )
    run = project.run("build", "--dask", "tcp://127.0.0.1:9")
    assert run.code == 1
    [error] = [line for line in run.err.splitlines() if "error" in line]
    assert "the fleet at tcp://127.0.0.1:9 cannot be reached" in error
    assert "--dask none" in run.err
    assert emulator.ledger()["charges"] == []
    assert not (project.root / "out").exists()


def test_a_fleet_uses_the_network(project: ProjectFolder) -> None:
    project.manifest(CARDS)
    run = project.run("build", "--offline", "--dask", "tcp://127.0.0.1:9")
    assert run.code == 2
    assert "--offline uses no network" in run.err
    project.manifest(CARDS + "dask: {address: 'tcp://127.0.0.1:9'}\n")
    assert project.json("build", "--offline").counts() == {"generated": 1}


def test_a_worker_with_another_release_is_refused_before_any_work(
    project: ProjectFolder, fleet: Machines, tmp_path: Path
) -> None:
    package = Path(imgbuild.__file__).parent
    shutil.copytree(
        package, tmp_path / "old/imgbuild", ignore=shutil.ignore_patterns("__pycache__", "emulator")
    )
    text = (package / "__init__.py").read_text()
    assert text.count(f'"{imgbuild.__version__}"') == 1
    (tmp_path / "old/imgbuild/__init__.py").write_text(text.replace(imgbuild.__version__, "0.0.9"))
    old = fleet.worker("old", environ={"PYTHONPATH": str(tmp_path / "old")})
    try:
        project.manifest(CARDS)
        run = project.run("build", "--dask", fleet.address)
    finally:
        fleet.stop(old)
    assert run.code == 1
    assert f"has 0.0.9 for imgbuild, and the build {imgbuild.__version__}" in run.err
    assert "install the same imgbuild and libvips" in run.err
    assert not (project.root / "out").exists()
    wait_for(lambda: "old" not in fleet.names(), "the old worker is known for ever")
    assert project.json("build", "--dask", fleet.address).counts() == {"generated": 1}


def test_a_worker_that_comes_late_is_held_against_the_build_as_well(fleet: Machines) -> None:
    from imgbuild.run import fleet_work
    from imgbuild.run.fleet_values import Failed

    expected = {**fleet_work.versions(), "avif": "libvips 7.0.0 avif/1"}
    answer = fleet.client.submit(fleet_work.derive, expected, b"", [], pure=False).result(timeout=60)
    assert isinstance(answer, Failed)
    assert "for avif, and the build libvips 7.0.0 avif/1" in answer.message


@pytest.mark.parametrize("seed", range(10 if FULL else 1))
def test_what_a_killed_worker_was_doing_is_done_by_another(
    patient: Callable[..., ProjectFolder], fleet: Machines, seed: int
) -> None:
    project = patient(3)
    build = project.zygote.start(project, "build", "--dask", fleet.address, "--output-format", "json")
    pids = {process.pid: name for name, process in fleet.workers.items()}
    [first, *_] = wait_for(
        lambda: pids_in(project.root / "p0") or pids_in(project.root / "p1"), "nothing began"
    )
    time.sleep(Random(seed).random() if FULL else 0)
    fleet.stop(fleet.workers.pop(pids[first]))
    fleet.worker(f"{pids[first]}+")
    project.write("go", "")
    run = build.wait()
    assert (run.code, run.counts()) == (0, {"generated": 3}), run.out
    done = [pids_in(project.root / f"p{n}") for n in range(3)]
    assert any(len(pids) > 1 for pids in done)
    assert all(pids[-1] != first for pids in done)


def test_a_scheduler_that_dies_in_mid_build_ends_it_with_clear_failures(
    patient: Callable[..., ProjectFolder], machines: Callable[[], Machines]
) -> None:
    own = machines()
    own.worker("cat")
    project = patient(2)
    build = project.zygote.start(project, "build", "--dask", own.address, "--output-format", "json")
    wait_for(lambda: pids_in(project.root / "p0") or pids_in(project.root / "p1"), "nothing began")
    own.stop(own.scheduler)
    run = build.wait()
    assert run.code == 1
    assert (run.counts(), run.err) == ({"failed": 2}, "")
    errors = {event["error"]["message"] for event in run.events if event["event"] == "image"}
    assert {error.partition(" (")[0] for error in errors} == {
        f"the connection to the fleet at {own.address} is lost"
    }
    own.stop(own.workers["cat"])
    project.write("go", "")
    assert project.json("build", "--dask", "none").counts() == {"generated": 2}


def test_a_fleet_without_workers_says_so(project: ProjectFolder, machines: Callable[[], Machines]) -> None:
    project.manifest(CARDS)
    own = machines()
    run = project.run("build", "--dask", own.address)
    assert run.code == 1
    assert f"the fleet at {own.address} has no workers" in run.err
    assert f"dask worker {own.address}" in run.err


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)][: 2 if FULL else 1])
def test_ctrl_c_takes_back_what_is_queued(
    patient: Callable[..., ProjectFolder], fleet: Machines, how: signal.Signals, code: int
) -> None:
    project = patient(12)
    build = project.zygote.start(project, "build", "--dask", fleet.address)
    wait_for(lambda: sum(bool(pids_in(project.root / f"p{n}")) for n in range(12)) == 2, "two did not begin")
    build.kill(how)
    run = build.wait()
    assert run.code == code, run.err
    project.write("go", "")
    wait_for(lambda: not fleet.tasks(), "the scheduler still has tasks")
    assert sum(bool(pids_in(project.root / f"p{n}")) for n in range(12)) == 2
    assert project.json("build", "--dask", fleet.address).counts() == {"generated": 12}
