"""Results that were paid for and cannot be used: the task is asked once more, the bytes are kept, nobody pays again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dialect_projects import (
    DIALECTS,
    TASK_DIALECTS,
    UNIALL,
    Dialect,
    bill,
    errors,
    failures,
    generated,
    image,
    prompt,
    provider,
    write,
)
from gateway import CLOSE, RESET, Exchange, Gateway, answer, body_of, gateway_before
from invariants import Snapshot, check_invariants, read_cache
from project_folder import ProjectFolder
from zygote import Zygote

PNG = ("Content-Type", "image/png")
HTML = b"<!doctype html><title>Please sign in</title><p>Your session has expired.</p>"


def short(body: bytes, mark: bytes) -> bytes:
    """Less than is announced."""
    return answer(200, body[: len(body) // 2], PNG, length=len(body)) + mark


TROUBLES: Mapping[str, Callable[[bytes], bytes]] = {
    "403": lambda body: answer(403, b"<Error><Code>AccessDenied</Code></Error>"),
    "404": lambda body: answer(404, b"<Error><Code>NoSuchKey</Code></Error>"),
    "410": lambda body: answer(410, b"gone"),
    "no-bytes": lambda body: answer(200, b"", PNG),
    "shorter-than-announced": lambda body: short(body, CLOSE),
    "html": lambda body: answer(200, HTML, PNG),
    "json": lambda body: answer(200, b'{"code": "NoSuchKey"}', PNG),
    "cut-in-half": lambda body: answer(200, body[: len(body) // 2], PNG),
    "cut-by-20-bytes": lambda body: answer(200, body[:-20], PNG),
    "only-a-head": lambda body: answer(200, body[:40], PNG),
    "nuls": lambda body: answer(200, bytes(len(body)), PNG),
}
"""What a result's link answers with, made of the bytes that it should have given."""
WITHOUT_BYTES = {"403", "404", "410", "no-bytes"}


@pytest.fixture(params=TASK_DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


@pytest.fixture
def troubles(dialect: Dialect, full: bool) -> list[str]:
    """Without --full every dialect meets half of them."""
    names = list(TROUBLES)
    return names if full else names[TASK_DIALECTS.index(dialect) % 2 :: 2]


@pytest.fixture
def gateway(start_emulator: Callable[..., Any]) -> Iterator[Gateway]:
    with gateway_before(start_emulator(latency=0.1).url) as gateway:
        yield gateway


class Spoiling:
    """Spoils results, the first `times` that each is fetched, and keeps what it gave instead."""

    def __init__(self, gateway: Gateway, times: int) -> None:
        self._times = times
        self.given: dict[str, bytes] = {}
        gateway.script = self._script

    def _script(self, exchange: Exchange) -> bytes:
        answered = exchange.forward()
        name = exchange.image.partition(".")[0]
        if exchange.kind != "fetch" or exchange.attempt > self._times:
            return answered
        spoilt = TROUBLES[name](body_of(answered))
        self.given[exchange.image] = body_of(spoilt.removesuffix(CLOSE).removesuffix(RESET))
        return spoilt


def after_the_first_fetch(gateway: Gateway, image: str) -> list[str]:
    """What was asked for an image from the first time on that its result was fetched."""
    kinds = [exchange.kind for exchange in gateway.exchanges if exchange.image == image]
    return kinds[kinds.index("fetch") :]


def quarantined(project: ProjectFolder) -> set[str]:
    """The digests of the bytes in quarantine."""
    folder = Path(project.environ["IMGBUILD_CACHE_DIR"]) / "quarantine"
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.bin")}


def assert_nothing_of_it_is_a_result(project: ProjectFolder, given: Mapping[str, bytes]) -> None:
    cache = read_cache(Path(project.environ["IMGBUILD_CACHE_DIR"]))
    assert not {one.get("image_id") for one in (*cache.recorded, *cache.beside)} & set(given)
    for name, data in given.items():
        digest = hashlib.sha256(data).hexdigest()
        assert digest not in cache.blobs
        assert name.partition(".")[0] in WITHOUT_BYTES or digest in quarantined(project), name
        assert not (project.root / f"out/{name}.png").exists()


def test_a_result_that_stays_unusable_is_an_error_and_is_not_paid_for_again(
    project: ProjectFolder,
    gateway: Gateway,
    zygote: Zygote,
    outside: Snapshot,
    count: Callable[[int], None],
    dialect: Dialect,
    troubles: list[str],
) -> None:
    spoiling = Spoiling(gateway, times=1000)
    images = {name: image(dialect, name, "studio") for name in troubles}
    write(project, {"studio": provider(dialect, gateway.url)}, images)
    runs = [zygote.json(project, "build", code=1)]
    count(len(troubles))
    assert failures(runs[0]) == dict.fromkeys(troubles, "unusable")
    for name in troubles:
        assert after_the_first_fetch(gateway, name) == ["fetch", "poll", "fetch"], name
    assert_nothing_of_it_is_a_result(project, spoiling.given)
    assert not (project.root / "imgbuild.lock").exists() or project.lock["images"] == {}

    gateway.script = Exchange.forward
    asked = len(gateway.asked("submit"))
    text = zygote.run(project, "build")
    assert text.code == 1
    for name in troubles:
        (line,) = [line for line in text.err.splitlines() if name in line.split()]
        assert "--retry-ambiguous" in line
    runs += [text, zygote.json(project, "build", code=1)]
    assert set(failures(runs[-1]).values()) <= {"ambiguous", "unusable"}
    assert len(gateway.asked("submit")) == asked == len(bill(gateway.upstream)["charges"]) == len(troubles)
    check_invariants(project, bill(gateway.upstream), outside=outside, runs=runs)

    run = zygote.json(project, "build", "--retry-ambiguous")
    assert generated(run) == set(troubles)
    check_invariants(project, bill(gateway.upstream), outside=outside, unknown=list(map(prompt, troubles)))
    assert len(bill(gateway.upstream)["charges"]) == 2 * len(troubles)


def test_a_result_that_is_unusable_once_is_there_when_the_task_is_asked_once_more(
    project: ProjectFolder,
    gateway: Gateway,
    zygote: Zygote,
    outside: Snapshot,
    count: Callable[[int], None],
    dialect: Dialect,
    troubles: list[str],
) -> None:
    Spoiling(gateway, times=1)
    images = {name: image(dialect, name, "studio") for name in troubles}
    write(project, {"studio": provider(dialect, gateway.url)}, images)
    run = zygote.json(project, "build")
    count(len(troubles))
    assert generated(run) == set(troubles)
    for name in troubles:
        assert after_the_first_fetch(gateway, name) == ["fetch", "poll", "fetch"], name
    assert len(bill(gateway.upstream)["charges"]) == len(troubles)
    assert zygote.run(project, "jobs").out == ""
    check_invariants(project, bill(gateway.upstream), outside=outside, runs=[run])


def test_a_service_that_stumbles_when_it_is_asked_once_more_is_waited_for(
    project: ProjectFolder, gateway: Gateway, zygote: Zygote, count: Callable[[int], None]
) -> None:
    stumbles = {"500": answer(500, b"oops"), "reset": RESET, "closed": CLOSE, "503": answer(503)}

    def script(exchange: Exchange) -> bytes:
        fetched = len(gateway.asked("fetch", exchange.image))
        if exchange.kind == "fetch" and fetched == 1:
            return answer(404)
        if exchange.kind == "poll" and fetched == 1 and exchange.image not in stumbled:
            stumbled.add(exchange.image)
            return stumbles[exchange.image]
        return exchange.forward()

    stumbled: set[str] = set()
    gateway.script = script
    images = {name: image(UNIALL, name, "studio") for name in stumbles}
    write(project, {"studio": provider(UNIALL, gateway.url)}, images)
    run = zygote.json(project, "build")
    count(len(images))
    assert generated(run) == stumbled == set(images)
    assert len(bill(gateway.upstream)["charges"]) == len(images)
    check_invariants(project, bill(gateway.upstream), runs=[run])


def test_of_several_takes_the_usable_ones_are_kept(
    project: ProjectFolder, gateway: Gateway, zygote: Zygote, count: Callable[[int], None]
) -> None:
    def script(exchange: Exchange) -> bytes:
        answered = exchange.forward()
        second = exchange.kind == "fetch" and "/2." in exchange.path
        return answer(200, HTML, PNG) if second else answered

    gateway.script = script
    write(
        project, {"studio": provider(UNIALL, gateway.url)}, {"two": image(UNIALL, "two", "studio", takes=2)}
    )
    run = zygote.json(project, "build", code=1)
    count(1)
    assert failures(run) == {"two": "unusable"}
    assert (project.root / "out/two.png").is_file()
    gateway.script = Exchange.forward
    run = zygote.json(project, "build", code=1)
    assert run.summary["submitted"] == 0
    check_invariants(project, bill(gateway.upstream), takes={prompt("two"): 2}, runs=[run])
    zygote.json(project, "build", "--retry-ambiguous")
    assert [charge["n"] for charge in bill(gateway.upstream)["charges"]] == [2, 1]
    check_invariants(project, bill(gateway.upstream), takes={prompt("two"): 2}, unknown=[prompt("two")])
    assert zygote.json(project, "build").counts() == {"unchanged": 1}


SYNCHRONOUS = [dialect for dialect in DIALECTS if not dialect.tasks]
IN_ANSWERS = {"html": "unusable", "empty": "unusable", "truncated": "ambiguous"}


def test_what_an_answer_brings_is_kept_too_and_not_asked_for_again(
    project: ProjectFolder, emulator: Any, zygote: Zygote, count: Callable[[int], None]
) -> None:
    images = {
        f"{dialect}.{fault}": image(
            dialect,
            f"{dialect}.{fault}",
            prompt=f"{prompt(f'{dialect}.{fault}')} [fault:{fault}:1]",
        )
        for dialect in SYNCHRONOUS
        for fault in IN_ANSWERS
    }
    write(project, {str(dialect): provider(dialect, emulator.url) for dialect in SYNCHRONOUS}, images)
    run = zygote.json(project, "build", code=1)
    count(len(images))
    assert failures(run) == {id: IN_ANSWERS[id.partition(".")[2]] for id in images}
    assert len(quarantined(project)) >= 1
    run = zygote.json(project, "build", code=1)
    assert set(failures(run).values()) <= {"ambiguous", "unusable"}
    assert (run.summary["submitted"], len(emulator.ledger()["charges"])) == (0, len(images))
    check_invariants(project, emulator.ledger(), runs=[run])
    assert generated(zygote.json(project, "build", "--retry-ambiguous")) == set(images)
    assert len(emulator.ledger()["charges"]) == 2 * len(images)


def test_a_link_in_an_answer_that_no_task_can_give_again_is_an_error_at_once(
    project: ProjectFolder, start_emulator: Callable[..., Any], zygote: Zygote, count: Callable[[int], None]
) -> None:
    emulator = start_emulator(images_answer="url")
    linking = [dialect for dialect in SYNCHRONOUS if str(dialect) != "gemini"]
    with gateway_before(emulator.url) as gateway:
        spoiling = Spoiling(gateway, times=1000)
        images = {
            f"{trouble}.{dialect}": image(dialect, f"{trouble}.{dialect}")
            for dialect in linking
            for trouble in TROUBLES
        }
        write(project, {str(dialect): provider(dialect, gateway.url) for dialect in linking}, images)
        run = zygote.json(project, "build", code=1)
        count(len(images))
        assert failures(run) == dict.fromkeys(images, "unusable")
        assert not any("poll" in str(error) for error in errors(run).values())
        for id in images:
            assert after_the_first_fetch(gateway, id) == ["fetch"]
        assert_nothing_of_it_is_a_result(project, spoiling.given)
        run = zygote.json(project, "build", code=1)
        assert len(gateway.asked("submit")) == len(emulator.ledger()["charges"]) == len(images)
        check_invariants(project, emulator.ledger(), runs=[run])
