"""Killed while tasks are polled, fetched and stored: the same tasks are gone on with, and nothing is submitted.

One build has a task of every dialect that has tasks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from dialect_projects import JSON, TASK_DIALECTS, UNIALL, failures, listed, until, write_all
from gateway import Exchange, Gateway, gateway_before
from invariants import Snapshot, check_invariants
from project_folder import ProjectFolder
from zygote import Child, Zygote

IDS = [str(dialect) for dialect in TASK_DIALECTS]
MOMENTS = range(30)


def looks(gateway: Gateway) -> int:
    """How often anything was asked about a task that exists."""
    return len(gateway.asked("poll")) + len(gateway.asked("fetch"))


def all_polled(gateway: Gateway) -> bool:
    return {exchange.image for exchange in gateway.asked("poll")} == set(IDS)


def kill_at(child: Child, gateway: Gateway, look: int, *, answered: bool) -> None:
    """Kill a build when it asks for the n-th time; `answered`: just after it was told."""
    until(lambda: all_polled(gateway), child)
    end = looks(gateway) + look

    def at_the_moment(exchange: Exchange) -> None:
        if looks(gateway) >= end:
            child.kill()

    def script(exchange: Exchange) -> bytes:
        at_the_moment(exchange)
        return exchange.forward()

    if answered:
        gateway.after = at_the_moment
    else:
        gateway.script = script


@pytest.mark.timeout(900)
@pytest.mark.parametrize("answered", [False, True], ids=["while it waits", "when it has just been told"])
def test_the_same_tasks_are_gone_on_with(
    new_project: Callable[..., ProjectFolder],
    start_emulator: Callable[..., Any],
    zygote: Zygote,
    outside: Snapshot,
    sample: Callable[..., list[int]],
    count: Callable[[int], None],
    answered: bool,
) -> None:
    emulator = start_emulator(latency=0.4)
    with gateway_before(emulator.url) as gateway:
        rehearsal = new_project("rehearsal", "rehearsed")
        write_all(rehearsal, gateway.url, TASK_DIALECTS)
        zygote.json(rehearsal, "build")
        # Less than all: no two builds ask equally often.
        most = looks(gateway) - 2 * len(IDS)
    chance = random.Random(int(answered))
    moments = sorted(chance.randrange(most) for _ in MOMENTS)
    for number, moment in enumerate(sample(moments, 3)):
        emulator.reset()
        project = new_project(f"{number}-{moment}", f"cache-{number}")
        with gateway_before(emulator.url) as gateway:
            write_all(project, gateway.url, TASK_DIALECTS)
            child = zygote.start(project, "build", *JSON)
            kill_at(child, gateway, moment, answered=answered)
            first = child.wait()
            assert first.code in (-9, 0), first
            count(len(IDS) if first.code else 0)
            gateway.script, gateway.after = Exchange.forward, lambda exchange: None
            before = len(gateway.exchanges)

            plan = zygote.json(project, "plan")
            assert (plan.summary["submitted"], plan.summary["cost"]) == (0, 0)
            jobs = listed(zygote.json(project, "jobs"))
            run = zygote.json(project, "build")
            assert (run.summary["submitted"], run.summary["resumed"]) == (0, len(jobs)), jobs
            assert zygote.run(project, "jobs").out == ""

            ledger = emulator.ledger()
            tasks = {charge["task_id"]: gateway.tasks[charge["task_id"]] for charge in ledger["charges"]}
            assert sorted(tasks.values()) == sorted(IDS)
            assert {job["task_id"]: job["image_id"] for job in jobs}.items() <= tasks.items()
            asked = gateway.exchanges[before:]
            assert {exchange.task for exchange in asked} == {job["task_id"] for job in jobs}
            check_invariants(project, ledger, outside=outside, runs=[first, plan, run])
            assert zygote.json(project, "build").counts() == {"unchanged": len(IDS)}
            assert looks(gateway) == sum(n for route, n in ledger["requests"].items() if "GET" in route)


@pytest.mark.timeout(600)
def test_killed_over_and_over_it_still_pays_once(
    project: ProjectFolder,
    start_emulator: Callable[..., Any],
    zygote: Zygote,
    full: bool,
    count: Callable[[int], None],
) -> None:
    kills = 30 if full else 5
    # Long enough that no task ends before the last kill; the gateway tells when they do.
    emulator = start_emulator(latency=600)
    chance = random.Random(3)
    with gateway_before(emulator.url) as gateway:
        write_all(project, gateway.url, TASK_DIALECTS)
        for _ in range(kills):
            gateway.exchanges.clear()
            child = zygote.start(project, "build", *JSON)
            kill_at(child, gateway, chance.randrange(3 * len(IDS)), answered=chance.random() < 0.5)
            assert child.wait().code == -9
            gateway.script, gateway.after = Exchange.forward, lambda exchange: None
            count(len(IDS))
        assert len(listed(zygote.json(project, "jobs"))) == len(IDS)
        assert zygote.json(project, "plan").summary["submitted"] == 0
    ledger = emulator.ledger()
    assert len(ledger["charges"]) == len(IDS)
    check_invariants(project, ledger)


def test_a_deadline_leaves_the_tasks_to_the_next_build(
    project: ProjectFolder, start_emulator: Callable[..., Any], zygote: Zygote, count: Callable[[int], None]
) -> None:
    emulator = start_emulator(latency=1.5, jitter=0.0)
    write_all(project, emulator.url, TASK_DIALECTS, deadline="300ms")
    run = zygote.json(project, "build", code=1)
    count(len(IDS))
    assert failures(run) == dict.fromkeys(IDS, "expired")
    write_all(project, emulator.url, TASK_DIALECTS, deadline="60s")
    assert zygote.json(project, "plan").summary["submitted"] == 0
    run = zygote.json(project, "build")
    counted = (run.summary["generated"], run.summary["resumed"], run.summary["submitted"])
    assert counted == (len(IDS), len(IDS), 0)
    check_invariants(project, emulator.ledger())


def test_a_task_at_a_service_that_the_manifest_no_longer_names_is_not_paid_for_again(
    project: ProjectFolder, start_emulator: Callable[..., Any], zygote: Zygote, count: Callable[[int], None]
) -> None:
    first, second = start_emulator(latency=0.5), start_emulator()
    with gateway_before(first.url) as gateway:
        write_all(project, gateway.url, [UNIALL])
        child = zygote.start(project, "build", *JSON)
        until(lambda: gateway.asked("poll"), child)
        child.kill()
        assert child.wait().code == -9
        count(1)
        write_all(project, second.url, [UNIALL])
        for _ in range(2):
            run = zygote.json(project, "build", code=1)
            assert failures(run) == {str(UNIALL): "ambiguous"}
            assert gateway.url in str(run.events)
        assert second.ledger()["charges"] == []
        write_all(project, gateway.url, [UNIALL])
        run = zygote.json(project, "build")
        assert (run.summary["resumed"], run.summary["submitted"]) == (1, 0)
    check_invariants(project, first.ledger())
