"""A service that is asked too much: it is asked later, by fewer at once, and never for more money.

Times are taken from the service's own clock.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from typing import Any

import pytest
from dialect_projects import (
    DIALECTS,
    JSON,
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
    provider,
    until,
    write,
)
from gateway import Exchange, Gateway, answer, gateway_before
from invariants import check_invariants
from project_folder import ProjectFolder, Run
from zygote import Zygote

WORDS = b'{"error": {"message": "too many requests"}}'
_AGAIN = re.compile(r"again in ([0-9.]+) s")


def slow_down(*retry_after: str, status: int = 429) -> bytes:
    return answer(status, WORDS, *(("Retry-After", value) for value in retry_after))


@pytest.fixture
def gateway(emulator: Any) -> Iterator[Gateway]:
    with gateway_before(emulator.url) as gateway:
        yield gateway


def planned(run: Run) -> dict[str, list[float]]:
    """The waits that were announced, by image."""
    waits: defaultdict[str, list[float]] = defaultdict(list)
    for event in run.events:
        if event["event"] == "job" and event["state"] == "retrying":
            found = _AGAIN.search(event["detail"])
            assert found, event
            waits[event["id"]].append(float(found[1]))
    return waits


def at(moment: float, form: str) -> str:
    if form == "imf":
        return formatdate(moment, usegmt=True)
    if form == "rfc850":
        return time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(moment))
    return time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(moment))


ASKED: Mapping[str, tuple[str, ...]] = {
    "one": ("1",),
    "fraction": ("1.5",),
    "spaces": (" 1 ",),
    "five": ("5",),
    "two-headers": ("1", "2"),
    "two-headers-falling": ("2", "1"),
    "one-of-two-is-nonsense": ("soon", "1"),
}
DATES = ("imf", "rfc850", "asctime")
NONSENSE: Mapping[str, tuple[str, ...]] = {
    "absent": (),
    "empty": ("",),
    "negative": ("-1",),
    "nan": ("nan",),
    "infinite": ("inf",),
    "overflow": ("1e309",),
    "arabic-indic": ("٥",),
    "devanagari": ("५",),
    "words": ("soon",),
    "hexadecimal": ("0x5",),
    "four-hundred-digits": ("9" * 400,),
    "year-99999": ("Sun, 06 Nov 99999 08:49:37 GMT",),
    "past": ("Sun, 06 Nov 1994 08:49:37 GMT",),
}


def least(image: str) -> float:
    """Seconds that were asked for."""
    if image in ASKED:
        return max(float(value) for value in ASKED[image] if value != "soon")
    return 1.0 if image in {*map(str, DIALECTS), "in-a-poll", "in-a-download", "as-503"} else 0.0


def test_it_is_never_asked_again_earlier_than_it_says(
    project: ProjectFolder, start_emulator: Callable[..., Any], zygote: Zygote, count: Callable[[int], None]
) -> None:
    emulator = start_emulator(latency=0.05)
    due: dict[str, float] = {}

    def script(exchange: Exchange) -> bytes:
        name = exchange.image
        refused = {"in-a-poll": "poll", "in-a-download": "fetch"}.get(name, "submit")
        if exchange.kind != refused or exchange.attempt > 1:
            return exchange.forward()
        if name in DATES:
            due[name] = float(int(time.time()) + 2)
            return slow_down(at(due[name], name))
        values = ASKED.get(name) or NONSENSE.get(name, ("1",))
        return slow_down(*values, status=503 if name == "as-503" else 429)

    with gateway_before(emulator.url) as gateway:
        gateway.script = script
        providers = {str(dialect): provider(dialect, gateway.url) for dialect in DIALECTS}
        providers["studio"] = provider(UNIALL, gateway.url, concurrency=64)
        providers["tasks"] = provider(KYY, gateway.url)
        images = {str(dialect): image(dialect, str(dialect)) for dialect in DIALECTS}
        for name in (*ASKED, *DATES, *NONSENSE, "as-503"):
            images[name] = image(UNIALL, name, "studio")
        images |= {name: image(KYY, name, "tasks") for name in ("in-a-poll", "in-a-download")}
        write(project, providers, images)
        run = zygote.json(project, "build")
        count(len(images))
        assert generated(run) == set(images)
        waits = planned(run)
        for name in images:
            kind = {"in-a-poll": "poll", "in-a-download": "fetch"}.get(name, "submit")
            first, second = gateway.asked(kind, name)[:2]
            assert second.came - first.answered >= least(name), name
            assert second.wall >= due.get(name, 0.0), name
            # On top of what was asked there is the jitter of a first try, and nothing else.
            (wait,) = waits[name]
            assert wait <= (2.0 if name in DATES else least(name)) + 1.05, name
    assert len(emulator.ledger()["charges"]) == len(images)
    check_invariants(project, emulator.ledger(), runs=[run])


def test_what_it_asks_for_has_a_limit_and_so_has_our_patience(
    project: ProjectFolder, gateway: Gateway, emulator: Any, zygote: Zygote, count: Callable[[int], None]
) -> None:
    gateway.script = lambda exchange: slow_down("1000000000")
    images = {"patient": image(UNIALL, "patient", "studio")}
    write(project, {"studio": provider(UNIALL, gateway.url)}, images)
    child = zygote.start(project, "build", *JSON)
    until(lambda: "again in" in child.out, child)
    child.kill(signal.SIGINT)
    run = child.wait()
    assert run.code == 130
    (found,) = _AGAIN.findall(run.out)
    assert 300 <= float(found) <= 301
    write(project, {"studio": provider(UNIALL, gateway.url, deadline="2s")}, images)
    run = zygote.json(project, "build", code=1)
    count(2)
    assert failures(run) == {"patient": "rate_limited"}
    assert run.summary["cost"] == 0
    assert len(gateway.asked("submit")) == 2, "it was asked before its time"
    assert listed(zygote.json(project, "jobs")) == []
    gateway.script = Exchange.forward
    assert zygote.json(project, "build").counts()["generated"] == 1
    assert len(emulator.ledger()["charges"]) == 1


def test_patience_ends_with_the_deadline(
    project: ProjectFolder, gateway: Gateway, emulator: Any, zygote: Zygote, count: Callable[[int], None]
) -> None:
    gateway.script = lambda exchange: slow_down(status=503)
    names = [f"i{n}" for n in range(6)]
    write(
        project,
        {"studio": provider(UNIALL, gateway.url, deadline="2s")},
        {name: image(UNIALL, name, "studio") for name in names},
    )
    run = zygote.json(project, "build", code=1)
    count(len(gateway.exchanges))
    assert failures(run) == dict.fromkeys(names, "rate_limited")
    assert run.summary["cost"] == 0
    for name in names:
        assert sum(planned(run)[name]) < 2.0 + 0.1
        assert "too many requests" in errors(run)[name]["message"]
    assert emulator.ledger()["charges"] == []
    assert listed(zygote.json(project, "jobs")) == []


CONCURRENCY = 8
MANY = [f"i{n:02}" for n in range(40)]


def forty(project: ProjectFolder, gateway: Gateway, dialect: Dialect, concurrency: int) -> None:
    write(
        project,
        {"studio": provider(dialect, gateway.url, concurrency=concurrency)},
        {name: image(dialect, name, "studio") for name in MANY},
    )


def test_a_storm_of_503_leaves_one_in_flight_and_calm_brings_them_back_one_by_one(
    project: ProjectFolder, gateway: Gateway, emulator: Any, zygote: Zygote, count: Callable[[int], None]
) -> None:
    storm = 14
    together = threading.Barrier(CONCURRENCY)
    submissions: list[Exchange] = []
    successes: list[Exchange] = []
    full_again = threading.Event()

    def script(exchange: Exchange) -> bytes:
        submissions.append(exchange)
        number = len(submissions)
        if number <= CONCURRENCY:
            together.wait()
            return slow_down(status=503)
        if number <= storm:
            # Long enough for others to come in the meantime, if they do.
            time.sleep(0.3)
            return slow_down(status=503)
        if exchange.together == CONCURRENCY:
            full_again.set()
        if len(successes) < CONCURRENCY:
            time.sleep(0.05)
        else:
            full_again.wait(20)
        answered = exchange.forward()
        successes.append(exchange)
        return answered

    gateway.script = script
    forty(project, gateway, OPENAI, CONCURRENCY)
    run = zygote.json(project, "build")
    count(storm)
    assert generated(run) == set(MANY)
    in_flight = [exchange.together for exchange in gateway.asked("submit")]
    assert max(in_flight) == CONCURRENCY
    # Eight times halved. The first one after it is the first that meets calm.
    assert in_flight[CONCURRENCY : storm + 1] == [1] * (storm + 1 - CONCURRENCY)
    for exchange in successes:
        before = sum(other.answered < exchange.came for other in successes)
        assert exchange.together <= 1 + before, f"{exchange.together} in flight after {before} successes"
    assert full_again.is_set(), f"it never became {CONCURRENCY} again: {in_flight}"
    assert len(emulator.ledger()["charges"]) == len(MANY)
    check_invariants(project, emulator.ledger(), runs=[run])


def test_one_503_halves_what_is_in_flight(
    project: ProjectFolder, gateway: Gateway, zygote: Zygote, count: Callable[[int], None]
) -> None:
    together = threading.Barrier(CONCURRENCY)
    turn = threading.Lock()
    refused: list[Exchange] = []
    successes: list[Exchange] = []

    def script(exchange: Exchange) -> bytes:
        if len(gateway.asked("submit")) <= CONCURRENCY and not refused:
            together.wait()
            with turn:
                if not refused:
                    refused.append(exchange)
                    return slow_down(status=503)
        with turn:
            # One after the other, and with time for others to come in between, if they do.
            if len(successes) < CONCURRENCY:
                time.sleep(0.15)
            answered = exchange.forward()
            successes.append(exchange)
            return answered

    gateway.script = script
    forty(project, gateway, OPENAI, CONCURRENCY)
    run = zygote.json(project, "build")
    count(1)
    assert generated(run) == set(MANY)
    first = gateway.asked("submit")[:CONCURRENCY]
    for exchange in gateway.asked("submit"):
        if exchange not in first:
            before = sum(other.answered < exchange.came for other in successes)
            assert exchange.together <= min(CONCURRENCY // 2 + before, CONCURRENCY)


def test_forty_that_are_refused_at_one_instant_do_not_come_back_at_one_instant(
    project: ProjectFolder, gateway: Gateway, zygote: Zygote, count: Callable[[int], None]
) -> None:
    together = threading.Barrier(len(MANY))

    def script(exchange: Exchange) -> bytes:
        if exchange.kind != "submit" or exchange.attempt > 1:
            return exchange.forward()
        together.wait()
        return slow_down("1")

    gateway.script = script
    forty(project, gateway, UNIALL, len(MANY))
    run = zygote.json(project, "build")
    count(len(MANY))
    assert generated(run) == set(MANY)
    waits = [wait for (wait,) in planned(run).values()]
    assert len(waits) == len(MANY)
    assert min(waits) >= 1.0
    assert max(waits) <= 2.0
    # In tenths of a second; 40 that are spread evenly hit nearly all of them.
    assert len(set(waits)) >= 6
    for name in MANY:
        first, second = gateway.asked("submit", name)
        assert second.came - first.answered >= 1.0


def test_what_was_certainly_not_charged_does_not_use_up_the_budget(
    project: ProjectFolder, gateway: Gateway, emulator: Any, zygote: Zygote, count: Callable[[int], None]
) -> None:
    def script(exchange: Exchange) -> bytes:
        refused = exchange.kind == "submit" and exchange.attempt <= 2
        return slow_down(status=(429, 503)[exchange.attempt % 2]) if refused else exchange.forward()

    gateway.script = script
    images = {f"i{n}": image(UNIALL, f"i{n}", "studio") for n in range(5)}
    write(project, {"studio": provider(UNIALL, gateway.url)}, images)
    run = zygote.json(project, "build", "--max-cost", f"{3 * PRICE}", code=4)
    count(len(gateway.asked("submit")) - 3)
    assert (run.summary["generated"], run.summary["failed"]) == (3, 2)
    assert run.summary["cost"] == pytest.approx(3 * PRICE)
    assert set(failures(run).values()) == {"budget"}
    assert len(emulator.ledger()["charges"]) == 3
    run = zygote.json(project, "build", "--max-cost", f"{2 * PRICE}")
    assert run.counts()["generated"] == 2
    check_invariants(project, emulator.ledger(), runs=[run])


def test_what_may_have_been_charged_does_use_it_up(
    project: ProjectFolder, gateway: Gateway, emulator: Any, zygote: Zygote, count: Callable[[int], None]
) -> None:
    gateway.script = lambda exchange: exchange.forward() and answer(500, WORDS)
    images = {f"i{n}": image(UNIALL, f"i{n}", "studio") for n in range(5)}
    write(project, {"studio": provider(UNIALL, gateway.url)}, images)
    run = zygote.json(project, "build", "--max-cost", f"{3 * PRICE}", code=4)
    count(3)
    assert sorted(failures(run).values()) == [*["ambiguous"] * 3, *["budget"] * 2]
    assert run.summary["cost"] == pytest.approx(3 * PRICE)
    assert len(emulator.ledger()["charges"]) == 3
