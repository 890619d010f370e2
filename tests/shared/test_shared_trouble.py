"""Remotes that are gone, slow, refuse or lie: a build goes on with one warning, and believes no byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from odd_server import OddServer, serving
from project_folder import ProjectFolder, Run
from shared_place import Place

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 96x64, output: out/hero.png}
  icon: {prompt: an anchor, size: 64x64, output: out/icon.webp}
  wave: {prompt: a wave, size: 80x64, output: out/wave.png}
"""
MOODS = ["dead", "failing", "hanging", "garbage", "wrong bytes", "cut short", "far too long"]
LYING = {"wrong bytes", "cut short", "far too long"}
FULL = bool(os.environ.get("IMGBUILD_TESTS_FULL"))


@pytest.fixture
def server() -> Iterator[OddServer]:
    with serving() as running:
        yield running


@pytest.fixture
def machine(builder, server: OddServer) -> Callable[..., ProjectFolder]:
    def make(name: str, **more: object) -> ProjectFolder:
        made: ProjectFolder = builder(name, Place(server.address), IMAGES, settings=", timeout: 3s", **more)
        return made

    return make


def warnings(run: Run) -> list[str]:
    return [event["message"] for event in run.events if event["event"] == "warning"]


@pytest.mark.parametrize("mood", MOODS if FULL else ["dead", "hanging", "garbage", "wrong bytes"])
def test_a_build_goes_on_with_one_warning(machine, server: OddServer, emulator, mood: str):
    first = machine("first")
    assert warnings(first.json("build")) == []
    server.mood = mood
    second = machine("second")
    run = second.json("build", code=1 if mood in LYING else 0)
    assert len(warnings(run)) == 1, warnings(run)
    assert "shared cache" in warnings(run)[0]
    if mood not in LYING:
        assert run.counts() == {"generated": 3, "submitted": 3}


def test_one_answer_that_does_not_come_makes_nobody_pay(machine, server: OddServer, emulator):
    machine("first").json("build")
    server.requests.clear()
    server.mood = "hanging once"
    run = machine("second").json("build", "--require-remote")
    assert (run.counts(), warnings(run)) == ({"restored": 3}, [])
    assert len(emulator.ledger()["charges"]) == 3


@pytest.mark.parametrize("mood", MOODS if FULL else ["failing", "garbage", "cut short", "far too long"])
def test_no_wrong_byte_is_ever_published(machine, server: OddServer, mood: str):
    first = machine("first")
    assert warnings(first.json("build")) == []
    server.mood = mood
    fresh = machine("fresh", of=first)
    run = fresh.json("build", "--locked", code=1)
    assert run.counts() == {"failed": 3}
    assert not [name for name in fresh.files() if name.startswith("out/")]
    server.mood = "kind"
    assert fresh.json("build", "--locked").counts() == {"restored": 3}
    assert fresh.files()["out/hero.png"] == first.files()["out/hero.png"]


@pytest.mark.parametrize("mood", ["dead", "failing", "hanging"] if FULL else ["dead"])
def test_required_it_is_an_error_before_anything_is_paid(machine, server: OddServer, emulator, mood: str):
    server.mood = mood
    run = machine("first").run("build", "--require-remote")
    assert run.code == 1
    assert "shared cache" in run.err
    assert emulator.ledger()["charges"] == []


def test_what_could_not_be_sent_is_said_and_push_sends_it(machine, server: OddServer, emulator):
    first = machine("first")
    server.refuses = True
    run = first.json("build")
    assert run.counts() == {"generated": 3, "submitted": 3}
    assert any("cache push" in words for words in warnings(run))
    server.refuses = False
    assert first.json("cache", "push").events[-1]["value"]["files"] == 6
    assert machine("second").json("build").counts() == {"restored": 3}
    assert len(emulator.ledger()["charges"]) == 3


def test_an_idle_build_asks_nothing(machine, server: OddServer):
    first = machine("first")
    first.json("build")
    server.requests.clear()
    assert first.json("build").counts() == {"unchanged": 3}
    first.edit("a lighthouse, size", "a lighthouse,  size")
    assert first.json("build").counts() == {"unchanged": 3}
    assert server.requests == {}


def test_nothing_is_fetched_that_no_output_needs(machine, server: OddServer):
    first = machine("first")
    first.json("build")
    second = machine("second", of=first)
    for name in ("out/hero.png", "out/icon.webp"):
        second.write(name, first.read(name))
    server.requests.clear()
    assert second.json("build", "--locked").counts() == {"restored": 1, "unchanged": 2}
    assert server.requests["GET"] == 1


def test_on_ci_it_is_only_read(machine, server: OddServer):
    machine("first").json("build", "--generate", CI="true")
    assert server.requests["PUT"] == 0
    first = machine("second")
    first.edit("timeout: 3s", "timeout: 3s, remote_write: true")
    first.json("build", "--generate", CI="true")
    assert server.requests["PUT"] > 0


def test_a_credential_goes_to_the_server_and_nowhere_else(machine, server: OddServer):
    first = machine("first")
    first.edit("timeout: 3s", "timeout: 3s, auth: '${CACHE_AUTH}'")
    assert first.run("build").code == 2
    run = first.run("build", "-v", CACHE_AUTH="someone:sk-canary-9d2")
    assert run.code == 0
    assert len(server.secrets) == 1
    server.mood = "failing"
    (first.root / "out/hero.png").unlink()
    first.edit("a wave", "a big wave")
    run = first.run("build", "-v", CACHE_AUTH="someone:sk-canary-9d2")
    assert "sk-canary-9d2" not in run.out + run.err
    stored = [path for path in first.root.parent.rglob("*") if path.is_file()]
    assert not [path for path in stored if b"sk-canary-9d2" in path.read_bytes()]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://cache.example.com/x", "https"),
        ("https://me:secret@cache.example.com", "password"),
        ("https://cache.example.com/?token=1", "query"),
        ("ftp://cache.example.com", "remote"),
        ("file://relative/path", "absolute"),
    ],
)
def test_an_address_that_cannot_be_used_is_exit_2(project: ProjectFolder, address: str, words: str):
    project.manifest(
        f"version: 1\ncache: {{remote: '{address}'}}\nimages: {{a: {{prompt: x, output: a.png}}}}\n"
    )
    run = project.run("build")
    assert (run.code, words in run.err) == (2, True), run.err


def test_a_password_is_sent_only_to_trusted_addresses(project: ProjectFolder):
    project.manifest(
        "version: 1\ncache: {remote: 'https://cache.invalid', auth: '${CACHE_AUTH}'}\n"
        "images: {a: {prompt: x, output: a.png}}\n"
    )
    run = project.run("build", CACHE_AUTH="sk-canary-t")
    assert (run.code, "IMGBUILD_TRUSTED_ORIGINS" in run.err) == (2, True)
