"""After a crash: tasks are gone on with, what is unknown is said, and nothing is paid for twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import STUDIO, ProjectFolder

import imgbuild

IMAGES = """\
images:
  hero: {{prompt: "a lighthouse{mark}", size: 64x64, output: out/hero.png}}
  icon: {{prompt: an anchor, size: 64x64, output: out/icon.png}}
"""


def write(project: ProjectFolder, url: str, mark: str = "") -> None:
    project.manifest(STUDIO.format(url=url) + IMAGES.format(mark=mark))


def start(project: ProjectFolder, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "imgbuild", "build", "--output-format", "json", *words],
        cwd=project.root,
        env=project.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object]) -> None:
    """Wait for something that has to happen; pytest's own limit ends a test in which it does not."""
    while not condition():
        time.sleep(0.02)


def failed(run) -> dict[str, str]:
    return {
        e["id"]: e["error"]["kind"] for e in run.events if e["event"] == "image" and e["status"] == "failed"
    }


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_build_stopped_while_polling_is_gone_on_with_and_submits_nothing(
    project: ProjectFolder, start_emulator: Callable, how: signal.Signals
):
    emulator = start_emulator(latency=2.0, jitter=0.0)
    write(project, emulator.url)
    build = start(project)
    until(lambda: len(emulator.ledger()["charges"]) == 2)
    until(lambda: emulator.ledger()["requests"].get("GET /v1/images/tasks/{id}", 0) >= 2 or _polled(emulator))
    build.send_signal(how)
    _, err = build.communicate()
    assert build.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    assert "Traceback" not in err
    assert project.run("jobs").out.count("submitted") == 2
    plan = project.json("plan")
    assert (plan.summary["submitted"], plan.summary["cost"]) == (0, 0)
    run = project.json("build")
    assert run.counts() == {"generated": 2}
    assert run.summary["resumed"] == 2
    assert len(emulator.ledger()["charges"]) == 2
    assert project.run("jobs").out == ""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_with_images_that_wait_for_a_place_and_for_each_other(
    project: ProjectFolder, start_emulator: Callable, how: signal.Signals
):
    emulator = start_emulator(latency=2.0, jitter=0.0)
    images = "".join(f"  i{n}: {{prompt: p{n % 4}, size: 64x64, output: out/{n}.png}}\n" for n in range(9))
    text = STUDIO.format(url=emulator.url).replace("poll_", "concurrency: 2\n    poll_")
    project.manifest(text + "images:\n" + images)
    build = start(project)
    until(lambda: _polled(emulator))
    build.send_signal(how)
    out, err = build.communicate()
    assert build.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[how], err
    assert "in flight, and gone on with by the next build: i0, i1" in out
    run = project.json("build")
    assert (run.summary["resumed"], run.summary["submitted"], run.summary["failed"]) == (2, 2, 0)
    assert len(emulator.ledger()["charges"]) == 4


def _polled(emulator) -> bool:
    return sum(n for route, n in emulator.ledger()["requests"].items() if route.startswith("GET")) >= 2


@pytest.mark.parametrize("fault", ["drop-after-accept", "500-after-accept"])
def test_a_submission_without_an_answer_is_never_repeated_without_a_word(
    project: ProjectFolder, emulator, fault: str
):
    write(project, emulator.url, f" [fault:{fault}:1]")
    assert failed(project.json("build", code=1)) == {"hero": "ambiguous"}
    assert len(emulator.ledger()["charges"]) == 2
    for _ in range(2):
        run = project.json("build", code=1)
        assert failed(run) == {"hero": "ambiguous"}
        assert run.summary["submitted"] == 0
    plan = project.run("plan")
    assert "may have been charged" in plan.out
    assert "--retry-ambiguous" in plan.out
    assert len(emulator.ledger()["charges"]) == 2
    run = project.json("build", "--retry-ambiguous")
    assert run.counts() == {"generated": 1, "unchanged": 1, "submitted": 1}
    assert project.run("jobs").out == ""


def test_killed_before_the_answer_it_is_unknown(project: ProjectFolder, start_emulator: Callable):
    emulator = start_emulator(fault=("hang-after-accept",))
    write(project, emulator.url)
    build = start(project, "hero")
    until(lambda: len(emulator.ledger()["charges"]) == 1)
    build.kill()
    build.communicate()
    run = project.json("build", "hero", code=1)
    assert failed(run) == {"hero": "ambiguous"}
    assert len(emulator.ledger()["charges"]) == 1


@pytest.mark.parametrize("fault", ["expired-link", "html"])
def test_an_unusable_result_was_paid_for_and_needs_a_word_too(project: ProjectFolder, emulator, fault: str):
    write(project, emulator.url, f" [fault:{fault}:1]")
    project.json("build", code=1)
    run = project.json("build", code=1)
    assert (failed(run), run.summary["submitted"]) == ({"hero": "ambiguous"}, 0)
    assert project.json("build", "--retry-ambiguous").counts()["generated"] == 1


@pytest.mark.parametrize("fault", ["fail:1", "refuse:1", "refuse-400:1", "error-200:1"])
def test_what_certainly_failed_is_tried_again_by_the_next_build(project: ProjectFolder, emulator, fault: str):
    write(project, emulator.url, f" [fault:{fault}]")
    project.json("build", code=1)
    assert project.json("build").counts() == {"generated": 1, "unchanged": 1, "submitted": 1}


def test_a_deadline_leaves_the_task_to_the_next_build(project: ProjectFolder, start_emulator: Callable):
    emulator = start_emulator(latency=1.5, jitter=0.0)
    write(project, emulator.url)
    project.edit("poll_interval: 50ms", "poll_interval: 50ms\n    deadline: 300ms")
    assert set(failed(project.json("build", code=1)).values()) == {"expired"}
    project.edit("deadline: 300ms", "deadline: 30s")
    run = project.json("build")
    assert (run.summary["generated"], run.summary["resumed"], run.summary["submitted"]) == (2, 2, 0)
    assert len(emulator.ledger()["charges"]) == 2


def test_jobs_lists_what_is_open_and_forgets_or_retries_it(project: ProjectFolder, emulator):
    write(project, emulator.url, " [fault:drop-after-accept:2]")
    project.json("build", code=1)
    [event] = [e for e in project.json("jobs").events if e["event"] == "data"]
    job = event["value"]
    assert (job["image_id"], job["stage"], job["cost"], job["provider"]) == (
        "hero",
        "unknown",
        0.01,
        "uniall",
    )
    assert project.run("jobs", "retry", "nothing").code == 2
    assert project.run("jobs", "retry", job["id"]).code == 0
    assert project.run("jobs").out == ""
    assert failed(project.json("build", code=1)) == {"hero": "ambiguous"}
    [event] = [e for e in project.json("jobs").events if e["event"] == "data"]
    assert project.run("jobs", "forget", event["value"]["id"]).code == 0
    assert project.json("build").counts()["generated"] == 1


def test_a_task_at_a_service_that_is_gone_is_named(project: ProjectFolder, start_emulator: Callable):
    first, second = start_emulator(latency=3.0), start_emulator()
    write(project, first.url)
    build = start(project, "hero")
    until(lambda: _polled(first))
    build.kill()
    build.communicate()
    write(project, second.url)
    run = project.json("build", "hero", code=1)
    assert failed(run) == {"hero": "ambiguous"}
    assert second.ledger()["charges"] == []


@pytest.mark.parametrize("checkouts", ["one", "two"])
def test_two_builds_at_once_pay_once(
    project: ProjectFolder,
    start_emulator: Callable,
    copy_project: Callable[..., ProjectFolder],
    checkouts: str,
):
    emulator = start_emulator(latency=0.5)
    images = "".join(f"  i{n}: {{prompt: p{n}, size: 64x64, output: out/{n}.png}}\n" for n in range(6))
    project.manifest(STUDIO.format(url=emulator.url) + "images:\n" + images)
    other = project if checkouts == "one" else copy_project(project, "other")
    builds = [start(project), start(other)]
    summaries = []
    waited = False
    for build in builds:
        out, err = build.communicate()
        assert build.returncode == 0, out + err
        events = [json.loads(line) for line in out.splitlines()]
        waited |= any(e["event"] == "job" and e["state"] == "waiting" for e in events)
        summaries.append(events[-1])
    assert sum(s["submitted"] for s in summaries) == len(emulator.ledger()["charges"]) == 6
    assert waited
    assert len(project.lock["images"]) == len(other.lock["images"]) == 6
    assert other.json("build").counts() == {"unchanged": 6}


def test_a_torn_journal_line_was_never_acted_upon(project: ProjectFolder, emulator, tmp_path: Path):
    write(project, emulator.url, " [fault:drop-after-accept:1]")
    project.json("build", code=1)
    [path] = (tmp_path / "cache" / "jobs").glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"event": "closed", "job": "')
        os.fsync(file.fileno())
    assert failed(project.json("build", code=1)) == {"hero": "ambiguous"}
    assert project.json("build", "--retry-ambiguous").counts()["generated"] == 1


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_the_next_build_asks_once(
    project: ProjectFolder, emulator, monkeypatch: pytest.MonkeyPatch, answer: bool
):
    write(project, emulator.url, " [fault:drop-after-accept:1]")
    project.json("build", code=1)
    for name in ("STUDIO_KEY", "IMGBUILD_CACHE_DIR", "HOME"):
        monkeypatch.setenv(name, project.environ[name])
    questions: list[str] = []

    def confirm(question: str) -> bool:
        questions.append(question)
        return answer

    code = imgbuild.build(imgbuild.load(project.root), confirm=confirm)
    assert questions == ["May have been charged already: hero (0.01 USD). Submit again?"]
    assert code == (0 if answer else 1)
    assert len(emulator.ledger()["charges"]) == (3 if answer else 2)
