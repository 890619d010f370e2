"""Ctrl-C once, Ctrl-C twice and SIGTERM at random times: nothing is lost, and what is left behind is said."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invariants import Snapshot, check_invariants, read_cache
from project_folder import ProjectFolder, Run
from zygote import Child, Zygote

STUDIO = """\
version: 1
providers:
  studio:
    type: {type}
    base_url: {url}
    api_key: ${{STUDIO_KEY}}
    concurrency: 2
    poll_interval: 50ms
defaults: {{provider: studio, model: gpt-image-2, quality: low}}
images:
"""
IMAGES = 4
LATENCIES = {"uniall": 0.3, "openai": 0.5}
LONG = 3.0
"""Seconds: enough to see that a build ends before its tasks do, however busy the machine is."""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
BOUND = 1.0
"""Seconds from the second signal to the end: here a time is what is promised."""
TIMES = range(34)
"""For each service and each way to interrupt: 204 in all."""


def write(project: ProjectFolder, type: str, url: str) -> None:
    path = "/v1/" if type == "openai" else ""
    images = (f"  i{n}: {{prompt: picture {n}, size: 64x64, output: out/{n}.png}}\n" for n in range(IMAGES))
    project.manifest(STUDIO.format(type=type, url=url + path) + "".join(images))


def open_jobs(zygote: Zygote, project: ProjectFolder) -> dict[str, str]:
    """The stage of each open job, by image."""
    events = zygote.json(project, "jobs").events
    return {e["value"]["image_id"]: e["value"]["stage"] for e in events if e["event"] == "data"}


def warned(run: Run, words: str) -> set[str]:
    """The images that warnings with these words are about."""
    texts = [e["message"] for e in run.events if e["event"] == "warning" and words in e["message"]]
    return {f"i{n}" for n in range(IMAGES) for text in texts if f"i{n}" in text}


def prompts(ids: set[str]) -> set[str]:
    return {f"picture {id[1:]}" for id in ids}


def until(condition: Callable[[], object], build: Child) -> None:
    """Wait for something that has to happen while a build runs."""
    while not condition():
        assert build.running, (build.out, build.err)
        time.sleep(0.005)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["SIGINT", "SIGINT twice", "SIGTERM"])
@pytest.mark.parametrize("type", ["uniall", "openai"])
def test_interrupted_at_a_random_time_a_build_is_gone_on_with(
    new_project: Callable[..., ProjectFolder],
    start_emulator: Callable,
    zygote: Zygote,
    sample: Callable,
    count: Callable[..., None],
    outside: Snapshot,
    type: str,
    how: str,
):
    number = signal.SIGTERM if how == "SIGTERM" else signal.SIGINT
    emulator = start_emulator(latency=LATENCIES[type], jitter=0.0)
    for time_number in sample(TIMES, 4):
        emulator.reset()
        project = new_project(f"project{time_number}", f"cache{time_number}")
        write(project, type, emulator.url)
        # Spread over the life of a build, the first quarter of which decides what is sent.
        chance = random.Random(f"{type} {how} {time_number}")
        share = (time_number + chance.random()) / len(TIMES)
        build = zygote.start(project, "build", "--output-format", "json")
        # Before its first word it may be so young that signals are still Python's own.
        until(lambda build=build: build.out, build)
        time.sleep(share**1.5 * (LATENCIES[type] * IMAGES / 2 + 0.3))
        build.kill(number)
        if how.endswith("twice"):
            time.sleep(chance.uniform(0.05, 0.3))
            build.kill(number)
        run = build.wait()
        count()
        charges = emulator.ledger()["charges"]
        stored = _stored(project)
        jobs = open_jobs(zygote, project)
        unknown = {id for id, stage in jobs.items() if stage == "unknown"}
        assert "Traceback" not in run.err + run.out
        assert run.code in (0, CODES[number]), run
        if run.code == 0:
            assert (len(stored), jobs) == (IMAGES, {}), "it ended by itself, and is complete"
        # The journal is complete: what was charged is stored, or known to be open.
        assert {charge["prompt"] for charge in charges} <= stored | prompts(set(jobs))
        if run.code and charges:
            _told(run, jobs, stored)
        if how != "SIGINT twice":
            assert not unknown, "one signal lets every answer come that is being paid for"
        check_invariants(project, {"charges": charges}, outside=outside, runs=[run])
        _goes_on(zygote, project, emulator, unknown)
        check_invariants(project, emulator.ledger(), outside=outside, unknown=prompts(unknown))


def _stored(project: ProjectFolder) -> set[str]:
    results = read_cache(Path(project.environ["IMGBUILD_CACHE_DIR"])).results.values()
    return {result["spec"]["prompt"] for result in results}


def _told(run: Run, jobs: dict[str, str], stored: set[str]) -> None:
    """The words name what is gone on with, and what nobody knows; but for what was stored at that moment."""
    unknown = {id for id, stage in jobs.items() if stage == "unknown"}
    maybe = warned(run, "may have been charged")
    later = warned(run, "gone on with by the next build")
    assert maybe >= unknown, (run, jobs)
    assert later >= set(jobs) - unknown, (run, jobs)
    assert prompts(maybe - unknown) | prompts(later - set(jobs)) <= stored, (run, jobs)


def _goes_on(zygote: Zygote, project: ProjectFolder, emulator: Any, unknown: set[str]) -> None:
    """The next build has all but what is unknown, and that needs a word."""
    before = Counter(charge["prompt"] for charge in emulator.ledger()["charges"])
    project.edit("concurrency: 2", "concurrency: 8")
    run = zygote.json(project, "build", code=1 if unknown else 0)
    failed = {
        e["id"]: e["error"]["kind"] for e in run.events if e["event"] == "image" and e["status"] == "failed"
    }
    assert failed == dict.fromkeys(unknown, "ambiguous")
    charged = Counter(charge["prompt"] for charge in emulator.ledger()["charges"])
    assert all(charged[prompt] == before[prompt] for prompt in prompts(unknown)), "charged without a word"
    assert all(charged[f"picture {n}"] == 1 for n in range(IMAGES) if f"i{n}" not in unknown)
    if unknown:
        assert zygote.json(project, "build", "--retry-ambiguous").summary["submitted"] == len(unknown)
    assert zygote.json(project, "build").counts() == {"unchanged": IMAGES}
    assert open_jobs(zygote, project) == {}


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_waits_for_what_it_pays_for_ends_at_once_when_told_twice(
    new_project: Callable[..., ProjectFolder],
    start_emulator: Callable,
    zygote: Zygote,
    count: Callable[..., None],
    first: signal.Signals,
    second: signal.Signals,
):
    def ends_in(name: str) -> float:
        emulator = start_emulator(latency=100.0, jitter=0.0)
        project = new_project(name, f"cache-{name}")
        write(project, "openai", emulator.url)
        build = zygote.start(project, "build", "--output-format", "json")
        until(lambda: len(emulator.ledger()["charges"]) == 2, build)
        build.kill(first)
        until(lambda: '"event": "stopping"' in build.out, build)
        build.kill(second)
        began = time.monotonic()
        run = build.wait()
        took = time.monotonic() - began
        count()
        assert run.code == CODES[first]
        assert "Traceback" not in run.err
        [stopping] = [e for e in run.events if e["event"] == "stopping"]
        jobs = open_jobs(zygote, project)
        assert set(stopping["waiting_for"]) == set(jobs) == warned(run, "may have been charged")
        assert set(jobs.values()) == {"unknown"}
        assert len(emulator.ledger()["charges"]) == len(jobs) == 2, "nothing was sent after the first signal"
        return took

    times = [ends_in("first")]
    if times[0] > BOUND:  # a machine that just did something else may try again
        times.append(ends_in("second"))
    assert min(times) <= BOUND


@pytest.mark.parametrize("type", ["uniall", "openai"])
def test_one_signal_waits_for_answers_that_are_paid_for_and_for_nothing_else(
    project: ProjectFolder, start_emulator: Callable, zygote: Zygote, count: Callable[..., None], type: str
):
    def states() -> list[str]:
        return [charge["state"] for charge in emulator.ledger()["charges"]]

    emulator = start_emulator(latency=LONG, jitter=0.0)
    write(project, type, emulator.url)
    build = zygote.start(project, "build")
    # A task is known once it is asked for.
    until(lambda: states() == ["processing"] * 2 and (type == "openai" or _polls(emulator) >= 2), build)
    build.kill(signal.SIGINT)
    run = build.wait()
    count()
    assert run.code == 130
    # An answer without a task has to be waited for; a task can be asked for later.
    assert states() == ["succeeded" if type == "openai" else "processing"] * 2
    assert ("waiting" in run.err) == (type == "openai"), run
    assert len(_stored(project)) == (2 if type == "openai" else 0)
    assert len(open_jobs(zygote, project)) == (0 if type == "openai" else 2)
    if type == "uniall":
        assert "gone on with by the next build: i0, i1" in run.err
    assert run.err.endswith("interrupted\n")
    project.edit("concurrency: 2", "concurrency: 8")
    last = zygote.json(project, "build")
    assert (last.summary["resumed"], last.summary["submitted"]) == ((0, 2) if type == "openai" else (2, 2))
    check_invariants(project, emulator.ledger(), runs=[run, last])


def _polls(emulator: Any) -> int:
    return sum(n for route, n in emulator.ledger()["requests"].items() if route.startswith("GET"))


def test_interrupted_while_it_waits_for_another_build_it_ends_at_once_and_leaves_that_one_alone(
    project: ProjectFolder, start_emulator: Callable, zygote: Zygote, count: Callable[..., None]
):
    emulator = start_emulator(latency=1.0, jitter=0.0)
    write(project, "uniall", emulator.url)
    payer = zygote.start(project, "build", "--output-format", "json")
    until(lambda: len(emulator.ledger()["charges"]) == 2, payer)
    waiter = zygote.start(project, "build", "--output-format", "json")
    until(lambda: '"waiting"' in waiter.out, waiter)
    waiter.kill(signal.SIGINT)
    stopped = waiter.wait()
    count()
    assert payer.running
    assert stopped.code == 130
    assert "Traceback" not in stopped.err
    assert payer.wait().code == 0
    check_invariants(project, emulator.ledger(), runs=[stopped])
    assert zygote.json(project, "build").counts() == {"unchanged": IMAGES}
