"""Several builds of the same images at once: each image is paid for once, and who waits says for whom."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invariants import check_invariants
from project_folder import STUDIO, ProjectFolder, Run
from zygote import Zygote

import imgbuild
from imgbuild.core.events import Emit, Event, to_json

IMAGES = 20
ROUNDS = range(50)


def write(project: ProjectFolder, url: str, round: int) -> None:
    images = (
        f"  i{n}: {{prompt: round {round} picture {n}, size: 64x64, output: out/{n}.png}}\n"
        for n in range(IMAGES)
    )
    project.manifest(STUDIO.format(url=url) + "images:\n" + "".join(images))


def of_round(ledger: dict[str, Any], round: int) -> dict[str, Any]:
    charges = [c for c in ledger["charges"] if c["prompt"].startswith(f"round {round} ")]
    return {**ledger, "charges": charges}


def waits(events: list[dict[str, Any]]) -> list[str]:
    return [e["detail"] for e in events if e["event"] == "job" and e["state"] == "waiting"]


def start_apart(zygote: Zygote, projects: list[ProjectFolder], chance: random.Random):
    """Start a build in each, with pauses that make other moments meet in every round."""
    for project in projects:
        yield zygote.start(project, "build", "--output-format", "json")
        time.sleep(chance.choice((0.0, 0.0, chance.uniform(0.0, 0.1), chance.uniform(0.1, 0.4))))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("who", ["two builds", "three builds", "two checkouts", "three checkouts"])
def test_builds_at_once_pay_once_and_say_for_whom_they_wait(
    new_project: Callable[..., ProjectFolder],
    start_emulator: Callable,
    zygote: Zygote,
    sample: Callable,
    count: Callable[..., None],
    tmp_path: Path,
    who: str,
):
    emulator = start_emulator(latency=0.2)
    number = 2 if who.startswith("two") else 3
    chance = random.Random(who)
    for round in sample(ROUNDS, 3 if who == "two builds" else 2):
        first = new_project("first")
        others = [first] * (number - 1)
        if who.endswith("checkouts"):
            others = [new_project(f"other{n}") for n in range(number - 1)]
        projects = [first, *others]
        for project in projects:
            write(project, emulator.url, round)
        builds = list(start_apart(zygote, projects, chance))
        runs = [build.wait() for build in builds]
        count()
        assert [run.code for run in runs] == [0] * number, runs
        charges = of_round(emulator.ledger(), round)
        assert len(charges["charges"]) == IMAGES
        assert sum(run.summary["submitted"] for run in runs) == IMAGES
        assert not any("Traceback" in run.err for run in runs)
        _each_waits_for_another(runs, [build.pid for build in builds], projects)
        for project in projects:
            check_invariants(project, charges, runs=runs)
            assert len(project.lock["images"]) == IMAGES
            assert project.read("imgbuild.lock") == first.read("imgbuild.lock")
            assert zygote.json(project, "build").counts() == {"unchanged": IMAGES}
        assert len(of_round(emulator.ledger(), round)["charges"]) == IMAGES
        assert zygote.run(first, "jobs").out == ""
        for path in tmp_path.iterdir():
            shutil.rmtree(path)


def _each_waits_for_another(runs: list[Run], pids: list[int], projects: list[ProjectFolder]) -> None:
    """Every wait names its reason, and at least one of the builds names the process that it waits for."""
    named = set()
    for run, own in zip(runs, pids, strict=True):
        for detail in waits(run.events):
            assert detail.startswith("for ")
            payers = {
                pid
                for pid, project in zip(pids, projects, strict=True)
                if f"process {pid})" in detail and str(project.root) in detail
            }
            assert own not in payers, "a build that waits for itself would wait for ever"
            named |= payers
    assert named, [waits(run.events) for run in runs]


def _build_here(project: ProjectFolder, emit: Emit, ended: Callable[[int], None]) -> None:
    ended(imgbuild.build(imgbuild.load(project.root), emit=emit))


@pytest.mark.timeout(3600)
def test_two_threads_of_one_program_pay_once(
    new_project: Callable[..., ProjectFolder],
    start_emulator: Callable,
    sample: Callable,
    count: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    emulator = start_emulator(latency=0.2)
    for round in sample(ROUNDS, 3):
        project = new_project("program")
        write(project, emulator.url, round)
        for name in ("STUDIO_KEY", "IMGBUILD_CACHE_DIR", "HOME"):
            monkeypatch.setenv(name, project.environ[name])
        seen: list[list[Event]] = [[], []]
        codes: list[int] = []
        threads = [
            threading.Thread(target=_build_here, args=(project, events.append, codes.append))
            for events in seen
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        count()
        assert codes == [0, 0]
        charges = of_round(emulator.ledger(), round)
        assert len(charges["charges"]) == IMAGES
        said = [waits([to_json(event) for event in events]) for events in seen]
        assert any(said), "nobody waited"
        check_invariants(project, charges)
        assert len(project.lock["images"]) == IMAGES
        again: list[Event] = []
        assert imgbuild.build(imgbuild.load(project.root), emit=again.append) == 0
        assert to_json(again[-1])["unchanged"] == IMAGES
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
