"""No usable answer to a submission: perhaps it was charged, so it is not sent again without a word.

The contrast are breakdowns before anything was sent: those are tried again, and cost nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from dialect_projects import (
    DIALECTS,
    JSON,
    PRICE,
    Dialect,
    bill,
    failures,
    generated,
    image,
    listed,
    prompt,
    provider,
    until,
    write,
    write_all,
)
from gateway import CLOSE, HANG, RESET, Exchange, answer, body_of, gateway_before
from invariants import Snapshot, check_invariants
from project_folder import ProjectFolder
from zygote import Zygote

from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import running

HTML = b"<!doctype html><html><title>Bad gateway</title><h1>The host is not reachable</h1></html>"


@dataclass(frozen=True)
class Trouble:
    """What a submission is answered with, in place of the service's answer or of asking it at all."""

    reply: Callable[[bytes], bytes]
    """Made of the service's own answer."""
    accepted: bool = True


def instead(reply: bytes, *, accepted: bool = True) -> Trouble:
    return Trouble(lambda answered: reply, accepted)


TROUBLES: Mapping[str, Trouble] = {
    "silence": instead(HANG),
    "500": instead(answer(500, b'{"error": {"message": "internal error"}}')),
    **{f"{status}": instead(answer(status, HTML)) for status in (502, 504, *range(520, 525))},
    "504-unseen": instead(answer(504, HTML), accepted=False),
    "reset": instead(RESET),
    "reset-unseen": instead(RESET, accepted=False),
    "closed": instead(CLOSE),
    "closed-unseen": instead(CLOSE, accepted=False),
    "half-a-head": Trouble(lambda answered: answered[:20] + CLOSE),
    "half-a-body": Trouble(lambda answered: answered[: -len(body_of(answered)) // 2] + CLOSE),
    "reset-in-the-body": Trouble(lambda answered: answered[: -len(body_of(answered)) // 2] + RESET),
    "no-http": instead(b"SSH-2.0-OpenSSH_9.6\r\n" + CLOSE),
    "html": instead(answer(200, HTML)),
    "no-utf-8": instead(answer(200, b"\xff\xfe\x00garbage")),
    "half-json": Trouble(lambda answered: answer(200, body_of(answered)[: len(body_of(answered)) // 2])),
    "nothing": instead(answer(200)),
    "null": instead(answer(200, b"null")),
    "number": instead(answer(200, b"1e999")),
}
HASTY = "silence"
"""This one needs a provider that does not wait for long."""


@pytest.fixture(params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


def project_of(project: ProjectFolder, dialect: Dialect, url: str, troubles: list[str], haste: str) -> None:
    providers = {"studio": provider(dialect, url), "hasty": provider(dialect, url, timeout=haste)}
    images = {name: image(dialect, name, "hasty" if name == HASTY else "studio") for name in troubles}
    write(project, providers, images)


@pytest.mark.timeout(300)
def test_without_an_answer_it_may_have_been_charged(
    project: ProjectFolder,
    emulator: Any,
    zygote: Zygote,
    outside: Snapshot,
    full: bool,
    count: Callable[[int], None],
    dialect: Dialect,
) -> None:
    # Without --full every dialect meets a third of them, and every one of them meets three dialects.
    names = list(TROUBLES)
    troubles = names if full else [HASTY, *names[DIALECTS.index(dialect) % 3 + 1 :: 3]]

    def script(exchange: Exchange) -> bytes:
        if exchange.kind != "submit":
            return exchange.forward()
        trouble = TROUBLES[exchange.image]
        return trouble.reply(exchange.forward() if trouble.accepted else b"")

    accepted = [name for name in troubles if TROUBLES[name].accepted]
    with gateway_before(emulator.url) as gateway:
        gateway.script = script
        project_of(project, dialect, gateway.url, troubles, "300ms")
        runs = [zygote.json(project, "build", code=1)]
        count(len(troubles))
        assert failures(runs[0]) == dict.fromkeys(troubles, "ambiguous")
        assert str(runs[0].events).count("may have been charged") >= len(troubles)
        while len(emulator.ledger()["charges"]) < len(accepted):
            # The one that was not waited for is still on its way to the service.
            time.sleep(0.02)
        charged = sorted(charge["prompt"] for charge in emulator.ledger()["charges"])
        assert charged == sorted(map(prompt, accepted))

        gateway.script = Exchange.forward
        plan = zygote.run(project, "plan")
        assert plan.out.count("may have been charged") >= len(troubles)
        assert {job["stage"] for job in listed(zygote.json(project, "jobs"))} == {"unknown"}
        runs += [plan, zygote.json(project, "build", code=1)]
        assert failures(runs[-1]) == dict.fromkeys(troubles, "ambiguous")
        assert runs[-1].summary["submitted"] == 0
        assert {e.image: e.attempt for e in gateway.asked("submit")} == dict.fromkeys(troubles, 1)
        check_invariants(project, emulator.ledger(), outside=outside, runs=runs)

        project_of(project, dialect, gateway.url, troubles, "60s")
        run = zygote.json(project, "build", "--retry-ambiguous")
        assert generated(run) == set(troubles)
        assert {e.image: e.attempt for e in gateway.asked("submit")} == dict.fromkeys(troubles, 2)
    ledger = emulator.ledger()
    assert len(ledger["charges"]) == len(accepted) + len(troubles)
    check_invariants(project, ledger, outside=outside, unknown=list(map(prompt, accepted)), runs=[run])
    assert zygote.json(project, "build").counts() == {"unchanged": len(troubles)}


IDS = [str(dialect) for dialect in DIALECTS]


def test_a_service_that_is_not_there_yet_is_waited_for_and_charges_once(
    project: ProjectFolder, zygote: Zygote, count: Callable[[int], None]
) -> None:
    with closing(socket.socket()) as reserved:
        # A port that is taken and not listened at refuses connections.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        write_all(project, f"http://127.0.0.1:{port}")
        child = zygote.start(project, "build", *JSON)
        until(lambda: child.out.count('"retrying"') >= len(IDS), child)
        count(len(IDS))
    with running(EmulatorOptions(latency=0), port=port) as url:
        run = child.wait()
        assert run.code == 0, run
        assert generated(run) == set(IDS)
        assert run.summary["cost"] == pytest.approx(PRICE * len(IDS))
        check_invariants(project, bill(url), runs=[run])
        assert len(bill(url)["charges"]) == len(IDS)


@pytest.mark.parametrize("how", ["refused connection", "unknown name", "untrusted certificate"])
def test_where_nothing_was_sent_nothing_is_charged_or_left_open(
    project: ProjectFolder, emulator: Any, zygote: Zygote, count: Callable[[int], None], how: str
) -> None:
    with closing(socket.socket()) as reserved, gateway_before(tls=True) as untrusted:
        reserved.bind(("127.0.0.1", 0))
        url = {
            "refused connection": f"http://127.0.0.1:{reserved.getsockname()[1]}",
            "unknown name": "http://gateway.invalid",
            "untrusted certificate": untrusted.url,
        }[how]
        write_all(project, url, deadline="3s", timeout="4s")
        # Tests trust the certificate of their own servers; a machine does not.
        del project.environ["SSL_CERT_FILE"]
        run = zygote.json(project, "build", code=1, IMGBUILD_TRUSTED_ORIGINS="http://gateway.invalid")
        count(len(IDS))
    assert failures(run) == dict.fromkeys(IDS, "transient")
    assert run.summary["cost"] == 0
    tries = [e["id"] for e in run.events if e["event"] == "job" and e["state"] == "retrying"]
    assert set(tries) == set(IDS)
    assert untrusted.exchanges == []
    assert (untrusted.connections >= 2 * len(IDS)) == (how == "untrusted certificate")
    assert listed(zygote.json(project, "jobs")) == []
    # What could not be sent is nothing to be asked about.
    write_all(project, emulator.url)
    run = zygote.json(project, "build")
    assert generated(run) == set(IDS)
    assert len(emulator.ledger()["charges"]) == len(IDS)
    check_invariants(project, emulator.ledger(), runs=[run])
