"""The cheap commands of these tests do exactly what real ones do."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest
from invariants import check_invariants
from project_folder import STUDIO, ProjectFolder
from zygote import Zygote

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 64x64, output: out/hero.png}
  icon: {prompt: an anchor, size: 48x48, output: out/icon.webp}
"""

COMMANDS = [
    ("plan",),
    ("plan", "--output-format", "json"),
    ("build", "--output-format", "json"),
    ("build",),
    ("list", "--status"),
    ("build", "--offline", "nothing"),
    ("bulid",),
    ("--version",),
    ("schema", "lock"),
]


def steady(text: str) -> str:
    """Without what differs between two runs of the same: times, ids, addresses."""
    text = re.sub(r'"seconds": ?[0-9.]+|[0-9.]+ ?s\b|:[0-9]{4,5}\b', "#", text)
    return re.sub(r'[0-9a-f]{64}|"bytes": ?[0-9]+', "#", text)


def test_a_zygote_answers_as_the_real_command_does(
    new_project: Callable[..., ProjectFolder], emulator, zygote: Zygote
):
    real, cheap = new_project("real", "cache-real"), new_project("cheap", "cache-cheap")
    real.zygote = None
    for project in (real, cheap):
        project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    for words in COMMANDS:
        one, other = real.run(*words), zygote.run(cheap, *words)
        assert (one.code, sorted(steady(one.out).splitlines()), steady(one.err)) == (
            other.code,
            sorted(steady(other.out).splitlines()),
            steady(other.err),
        )
    real.manifest("version: 1\nimages: {a: {promt: x}}\n")
    cheap.manifest("version: 1\nimages: {a: {promt: x}}\n")
    one, other = real.run("build"), zygote.run(cheap, "build")
    assert (one.code, one.out, one.err) == (other.code, other.out, other.err)
    assert one.code == 2
    assert set(real.files()) == set(cheap.files())
    check_invariants(cheap, None)


def test_the_environment_is_the_projects_and_not_the_tests_own(
    project: ProjectFolder, emulator, zygote: Zygote
):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    del project.environ["STUDIO_KEY"]
    run = zygote.run(project, "build")
    assert run.code == 2
    assert "STUDIO_KEY" in run.err
    assert zygote.run(project, "build", STUDIO_KEY="sk-canary-7f3a").code == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_its_children_take_signals_as_real_processes_do(
    project: ProjectFolder, start_emulator: Callable, zygote: Zygote, number: int, code: int
):
    emulator = start_emulator(latency=600)
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    child = zygote.start(project, "build")
    while len(emulator.ledger()["charges"]) < 2:
        assert child.running
    child.kill(number)
    assert child.wait().code == code
    assert not child.running
    child.kill()
