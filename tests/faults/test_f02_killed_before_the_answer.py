"""Killed after a service has accepted a submission, and before its answer was read: nobody can know more than that.

One build has an image of every dialect, and all of them are on their way when it is killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dialect_projects import (
    DIALECTS,
    JSON,
    PRICE,
    failures,
    generated,
    listed,
    prompt,
    until,
    write_all,
)
from gateway import HANG, Exchange, gateway_before
from invariants import Snapshot, check_invariants
from project_folder import ProjectFolder, Run
from terminal import on_a_terminal
from zygote import Zygote

IDS = {str(dialect): dialect.type for dialect in DIALECTS}
ALL_UNKNOWN = dict.fromkeys(IDS, "ambiguous")


def retry_each(project: ProjectFolder, zygote: Zygote, verb: str) -> Run:
    for job in listed(zygote.json(project, "jobs")):
        assert zygote.run(project, "jobs", verb, job["id"]).code == 0
    assert zygote.run(project, "jobs").out == ""
    return zygote.json(project, "build")


def yes_on_a_terminal(project: ProjectFolder, zygote: Zygote) -> Run:
    assert zygote.json(project, "build", code=1).summary["submitted"] == 0
    code, seen = on_a_terminal(project.root, project.environ, "build", answer="n\n")
    assert code == 1
    assert seen.count("May have been charged already") == 1
    assert all(f"{id} ({PRICE:g} USD)" in seen.replace("\n", " ") for id in IDS)
    assert len(listed(zygote.json(project, "jobs"))) == len(IDS)
    code, seen = on_a_terminal(project.root, project.environ, "build", answer="y\n")
    assert code == 0, seen
    return zygote.json(project, "build")


DECISIONS: dict[str, Callable[[ProjectFolder, Zygote], Run]] = {
    "jobs retry": lambda project, zygote: retry_each(project, zygote, "retry"),
    "jobs forget": lambda project, zygote: retry_each(project, zygote, "forget"),
    "--retry-ambiguous": lambda project, zygote: zygote.json(project, "build", "--retry-ambiguous"),
    "yes on a terminal": yes_on_a_terminal,
}


@pytest.mark.parametrize("decision", DECISIONS)
def test_killed_before_the_answer_it_is_unknown_until_somebody_decides(
    project: ProjectFolder,
    start_emulator: Callable[..., Any],
    zygote: Zygote,
    outside: Snapshot,
    count: Callable[[int], None],
    decision: str,
) -> None:
    emulator = start_emulator(fault=(f"hang-after-accept:{len(IDS)}",))
    write_all(project, emulator.url)
    before = datetime.now(UTC) - timedelta(seconds=1)
    child = zygote.start(project, "build", *JSON)
    until(lambda: len(emulator.ledger()["charges"]) == len(IDS), child)
    child.kill()
    runs = [child.wait()]
    count(len(IDS))
    assert runs[0].code == -9
    for _ in range(3):
        run = zygote.json(project, "build", code=1)
        assert failures(run) == ALL_UNKNOWN
        assert (run.summary["submitted"], run.summary["resumed"], run.summary["cost"]) == (0, 0, 0)
        runs.append(run)
    assert len(emulator.ledger()["charges"]) == len(IDS)
    plan = zygote.run(project, "plan")
    assert plan.out.count("may have been charged") >= len(IDS)
    assert "--retry-ambiguous" in plan.out
    _lists_what_is_unknown(project, zygote, before)
    check_invariants(project, emulator.ledger(), outside=outside, runs=[*runs, plan])

    run = DECISIONS[decision](project, zygote)
    if decision == "yes on a terminal":
        assert run.counts() == {"unchanged": len(IDS)}
    else:
        assert generated(run) == set(IDS)
    ledger = emulator.ledger()
    assert len(ledger["charges"]) == 2 * len(IDS)
    assert zygote.run(project, "jobs").out == ""
    check_invariants(project, ledger, outside=outside, unknown=list(map(prompt, IDS)), runs=[run])
    assert zygote.json(project, "build").counts() == {"unchanged": len(IDS)}


def _lists_what_is_unknown(project: ProjectFolder, zygote: Zygote, before: datetime) -> None:
    jobs = {job["image_id"]: job for job in listed(zygote.json(project, "jobs"))}
    assert {id: job["provider"] for id, job in jobs.items()} == IDS
    text = zygote.run(project, "jobs").out
    for id, job in jobs.items():
        assert (job["stage"], job["cost"], job["unit"]) == ("unknown", PRICE, "USD")
        assert before <= datetime.fromisoformat(job["since"]) <= datetime.now(UTC)
        (line,) = [line for line in text.splitlines() if job["id"] in line]
        for word in (id, "unknown", IDS[id], job["since"], "0.01 USD"):
            assert word in line
    assert zygote.run(project, "jobs", "retry", "nothing").code == 2


SHARES = [n / 20 for n in range(21)]


@pytest.mark.timeout(900)
def test_killed_while_the_answer_arrives_nothing_is_paid_for_again_without_a_word(
    new_project: Callable[..., ProjectFolder],
    emulator: Any,
    zygote: Zygote,
    sample: Callable[..., list[float]],
    count: Callable[[int], None],
) -> None:
    for share in sample(SHARES, 4):
        emulator.reset()
        project = new_project(f"at-{share}", f"cache-{share}")
        together = threading.Barrier(len(IDS))

        def script(exchange: Exchange, share: float = share, together: threading.Barrier = together) -> bytes:
            answered = exchange.forward()
            if exchange.kind == "submit":
                together.wait()
                # The answers that are sent whole leave the connection as it is.
                return answered if share == 1.0 else answered[: int(len(answered) * share)] + HANG
            return HANG

        with gateway_before(emulator.url) as gateway:
            gateway.script = script
            sent = threading.Semaphore(0)
            gateway.after = lambda exchange, sent=sent: sent.release()
            write_all(project, gateway.url)
            child = zygote.start(project, "build", *JSON)
            for _ in IDS:
                assert sent.acquire(timeout=60), child.err
            child.kill()
            assert child.wait().code == -9
            count(len(IDS))
            gateway.script = Exchange.forward
            run = zygote.run(project, "build", *JSON)
            unknown = failures(run)
            assert set(unknown.values()) <= {"ambiguous"}
            # An answer that was sent whole may have been read: then its task is gone on with.
            assert share == 1.0 or set(unknown) == set(IDS)
            assert len(gateway.asked("submit")) == len(IDS)
            check_invariants(project, emulator.ledger(), runs=[run])
            run = zygote.json(project, "build", "--retry-ambiguous")
            assert generated(run) == set(unknown)
            check_invariants(project, emulator.ledger(), unknown=list(map(prompt, unknown)))
            assert len(emulator.ledger()["charges"]) == len(IDS) + len(unknown)
