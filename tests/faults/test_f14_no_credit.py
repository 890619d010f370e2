"""A key that is refused, or an account that is empty, in the middle of a build: what is paid is fetched, no more is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from dialect_projects import (
    DIALECTS,
    KYY,
    OPENAI,
    PRICE,
    UNIALL,
    Dialect,
    errors,
    failures,
    generated,
    image,
    listed,
    prompt,
    provider,
    write,
)
from gateway import Exchange, Gateway, answer, gateway_before
from invariants import Snapshot, check_invariants
from project_folder import ProjectFolder
from zygote import Zygote

CONCURRENCY = 8
MANY = [f"i{n:03}" for n in range(100)]
OTHERS = [f"other-{n}" for n in range(6)]
KINDS = {401: "auth", 402: "credit", 403: "auth"}
SAMPLE = {401: (UNIALL,), 402: (OPENAI,), 403: (KYY,)}
"""Whom each status comes from without --full."""


def refusal(status: int) -> bytes:
    words = HTTPStatus(status).phrase
    return answer(status, b'{"error": {"message": "%s: see your account"}}' % words.encode())


class Refusing:
    """Of the first submissions, which come all at once, the third is refused, and the others a little later
    accepted. A second provider is made to wait until then.
    """

    def __init__(self, gateway: Gateway, status: int) -> None:
        self._status = status
        self._together = threading.Barrier(CONCURRENCY)
        self._refused = threading.Event()
        gateway.script = self._script
        gateway.after = self._after

    def _script(self, exchange: Exchange) -> bytes:
        if exchange.kind != "submit":
            return exchange.forward()
        if exchange.image in OTHERS:
            self._refused.wait(60)
            return exchange.forward()
        number = self._together.wait() if exchange.image in MANY[:CONCURRENCY] else None
        if number == 2:
            return refusal(self._status)
        self._refused.wait(60)
        return exchange.forward()

    def _after(self, exchange: Exchange) -> None:
        if exchange.kind == "submit":
            self._refused.set()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("status", KINDS)
def test_nothing_more_is_sent_and_what_was_paid_for_is_fetched(
    new_project: Callable[..., ProjectFolder],
    emulator: Any,
    zygote: Zygote,
    outside: Snapshot,
    full: bool,
    count: Callable[[int], None],
    status: int,
) -> None:
    for dialect in DIALECTS if full else SAMPLE[status]:
        emulator.reset()
        project = new_project(f"{dialect}-{status}", f"cache-{dialect}-{status}")
        with gateway_before(emulator.url) as gateway:
            _refuse_the_third(project, gateway, emulator, zygote, outside, dialect, status)
            count(1)


def _refuse_the_third(
    project: ProjectFolder,
    gateway: Gateway,
    emulator: Any,
    zygote: Zygote,
    outside: Snapshot,
    dialect: Dialect,
    status: int,
) -> None:
    Refusing(gateway, status)
    providers = {
        "studio": provider(dialect, gateway.url, concurrency=CONCURRENCY),
        "other": provider(dialect, gateway.url, concurrency=2),
    }
    images = {id: image(dialect, id, "studio") for id in MANY}
    images |= {id: image(dialect, id, "other") for id in OTHERS}
    write(project, providers, images)
    run = zygote.json(project, "build", code=1)

    submitted = [exchange.image for exchange in gateway.asked("submit") if exchange.image in MANY]
    assert len(submitted) == CONCURRENCY, "more was sent than was in flight"
    charges = [charge["prompt"] for charge in emulator.ledger()["charges"]]
    paid = {id for id in MANY if prompt(id) in charges}
    assert len(paid) == CONCURRENCY - 1
    assert generated(run) == paid | set(OTHERS)
    assert failures(run) == dict.fromkeys(set(MANY) - paid, KINDS[status])
    assert run.summary["cost"] == pytest.approx(PRICE * (len(paid) + len(OTHERS)))
    for id in paid | set(OTHERS):
        assert (project.root / f"out/{id}.png").is_file()
    assert set(project.lock["images"]) == paid | set(OTHERS)
    for error in errors(run).values():
        assert "\n" not in error["message"]
        assert f"HTTP {status} {HTTPStatus(status).phrase}" in error["message"]
        assert {"auth": "API key", "credit": "add credit"}[KINDS[status]] in error["message"]
    assert zygote.run(project, "jobs").out == ""
    check_invariants(project, emulator.ledger(), outside=outside, runs=[run])

    gateway.script = Exchange.forward
    run = zygote.json(project, "build", STUDIO_KEY="sk-canary-the-next-one")
    assert generated(run) == set(MANY) - paid
    assert run.summary["submitted"] == len(MANY) - len(paid)
    ledger = emulator.ledger()
    assert len(ledger["charges"]) == len(images)
    check_invariants(project, ledger, outside=outside, runs=[run])


@pytest.mark.parametrize("status", KINDS)
def test_tasks_that_may_no_longer_be_asked_for_wait_for_a_better_key(
    project: ProjectFolder,
    start_emulator: Callable[..., Any],
    zygote: Zygote,
    count: Callable[[int], None],
    status: int,
) -> None:
    emulator = start_emulator(latency=0.3)
    good = "sk-canary-the-next-one"

    def script(exchange: Exchange) -> bytes:
        revoked = len(gateway.asked("submit")) > CONCURRENCY // 2
        if exchange.kind != "fetch" and revoked and good not in str(exchange.headers):
            return refusal(status)
        return exchange.forward()

    ids = MANY[:20]
    with gateway_before(emulator.url) as gateway:
        gateway.script = script
        write(
            project,
            {"studio": provider(KYY, gateway.url, concurrency=CONCURRENCY)},
            {id: image(KYY, id, "studio") for id in ids},
        )
        run = zygote.json(project, "build", code=1)
        count(1)
        assert set(failures(run).values()) == {KINDS[status]}
        assert len(gateway.asked("submit")) <= CONCURRENCY
        paid = len(emulator.ledger()["charges"])
        waiting = listed(zygote.json(project, "jobs"))
        assert len(waiting) + len(generated(run)) == paid > 0
        assert {job["stage"] for job in waiting} == {"submitted"}
        assert zygote.json(project, "plan").summary["submitted"] == len(ids) - paid
        check_invariants(project, emulator.ledger(), runs=[run])

        run = zygote.json(project, "build", STUDIO_KEY=good)
        assert (run.summary["resumed"], run.summary["submitted"]) == (len(waiting), len(ids) - paid)
    assert len(emulator.ledger()["charges"]) == len(ids)
    check_invariants(project, emulator.ledger(), runs=[run])


def test_each_image_that_was_not_made_has_one_clear_line(
    project: ProjectFolder, emulator: Any, zygote: Zygote, count: Callable[[int], None]
) -> None:
    with gateway_before(emulator.url) as gateway:
        gateway.script = lambda exchange: refusal(402)
        write(
            project,
            {"studio": provider(UNIALL, gateway.url)},
            {id: image(UNIALL, id, "studio") for id in MANY[:20]},
        )
        run = zygote.run(project, "build")
        count(1)
    assert run.code == 1
    assert len(gateway.asked("submit")) <= CONCURRENCY
    for id in MANY[:20]:
        (line,) = [line for line in run.err.splitlines() if id in line.split()]
        assert "(credit): studio: HTTP 402 Payment Required: Payment Required: see your account" in line
        assert "add credit to the account" in line
    assert "sk-canary" not in run.err + run.out
