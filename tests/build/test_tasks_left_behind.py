"""What an earlier build paid for and did not see the end of is fetched, even if nothing needs it any more."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import STUDIO, UNHEARD, ProjectFolder, start

IMAGE = 'images: {hero: {prompt: "a lighthouse", size: 64x64, output: out/hero.png}}\n'


def kill_while_polling(project: ProjectFolder, emulator) -> None:
    build = start(project, "-m", "imgbuild", "build", **UNHEARD)
    while not any("{" in route for route in emulator.ledger()["requests"] if route.startswith("GET")):
        time.sleep(0.02)
    build.kill()
    build.wait()


def test_a_prompt_edited_after_a_kill_does_not_lose_the_first_picture(
    project: ProjectFolder, start_emulator: Callable
):
    emulator = start_emulator(latency=1.0, jitter=0.0)
    project.manifest(STUDIO.format(url=emulator.url) + IMAGE)
    kill_while_polling(project, emulator)
    project.edit("a lighthouse", "a windmill")
    run = project.json("build")
    assert (run.summary["submitted"], run.summary["resumed"]) == (1, 1)
    project.edit("a windmill", "a lighthouse")
    run = project.json("build")
    assert run.summary["submitted"] == run.summary["resumed"] == 0
    assert len(emulator.ledger()["charges"]) == 2
    assert project.run("jobs").out == ""


def test_an_image_that_was_removed_meanwhile_is_fetched_by_a_build_with_nothing_to_do(
    project: ProjectFolder, start_emulator: Callable
):
    emulator = start_emulator(latency=1.0, jitter=0.0)
    project.manifest(STUDIO.format(url=emulator.url) + IMAGE)
    kill_while_polling(project, emulator)
    project.edit(IMAGE, "images: {}\n")
    assert project.json("build").summary["resumed"] == 1
    project.edit("images: {}\n", IMAGE)
    assert project.json("plan").summary["cost"] == 0
    assert project.json("build").summary["submitted"] == 0
    assert len(emulator.ledger()["charges"]) == 1


def test_another_project_and_a_build_of_one_target_leave_the_tasks_alone(
    project: ProjectFolder, start_emulator: Callable, new_project: Callable[..., ProjectFolder]
):
    emulator = start_emulator(latency=1.0, jitter=0.0)
    project.manifest(STUDIO.format(url=emulator.url) + IMAGE)
    kill_while_polling(project, emulator)
    other = new_project("other")
    other.manifest(STUDIO.format(url=emulator.url) + IMAGE.replace("lighthouse", "windmill"))
    assert other.json("build").summary["resumed"] == 0
    project.edit(IMAGE, IMAGE.replace("lighthouse", "cottage"))
    assert project.json("build", "hero").summary["resumed"] == 0
    assert "submitted" in project.run("jobs").out


def test_a_result_that_arrived_just_before_a_kill_is_recorded_by_the_next_build(
    project: ProjectFolder, emulator, tmp_path: Path
):
    """As a kill leaves it between the blob and its record: the journal alone knows what the bytes are."""
    project.manifest(STUDIO.format(url=emulator.url) + IMAGE)
    project.json("build")
    cache = tmp_path / "cache"
    [sidecar] = (p for p in cache.glob("blobs/*/*.json") if not p.name.endswith(".out.json"))
    result = json.loads(sidecar.read_text())["result"]
    sidecar.unlink()
    shutil.rmtree(cache / "records")
    shutil.rmtree(project.root / "out")
    (project.root / "imgbuild.lock").unlink()
    head = {"version": 1, "job": "0123456789ab"}
    intent = {
        **head,
        "event": "intent",
        "key": result["key"],
        "takes": [1],
        "provider": "uniall",
        "origin": emulator.url,
        "image": "hero",
        "project": str(project.root),
        "since": result["created"],
        "cost": 0.01,
        "unit": "USD",
        "draft": {},
    }
    lines = [intent, {**head, "event": "ready", "take": 1, "result": result}]
    journal = cache / "jobs" / f"{result['key']}.jsonl"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = project.json("build")
    assert (run.summary["submitted"], run.summary["resumed"], run.summary["failed"]) == (0, 0, 0)
    assert (project.root / "out" / "hero.png").is_file()
    assert not journal.exists()
    assert len(emulator.ledger()["charges"]) == 1


@pytest.mark.parametrize("decision", ["forget", "retry"])
def test_a_job_that_a_build_has_in_hand_cannot_be_decided(
    project: ProjectFolder, start_emulator: Callable, decision: str
):
    emulator = start_emulator(latency=2.0, jitter=0.0)
    project.manifest(STUDIO.format(url=emulator.url) + IMAGE)
    build = start(project, "-m", "imgbuild", "build", **UNHEARD)
    while not (out := project.run("jobs").out):
        time.sleep(0.02)
    run = project.run("jobs", decision, out.split()[0])
    assert run.code == 2
    assert f"imgbuild in {project.root}, for hero (process {build.pid})" in run.err
    assert build.wait() == 0
