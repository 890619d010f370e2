"""Edits, builds, kills, corruption, a second process, a second checkout and a failing service in any order."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from invariants import Snapshot
from project_folder import ProjectFolder, Run
from world import (
    FAULTS,
    FORMATS,
    NAMES,
    QUALITIES,
    SIZES,
    STYLE,
    SUBJECTS,
    Checkout,
    Image,
    Shot,
    World,
    renamed,
)
from zygote import Zygote

PARTS = 10
"""Runs of a thousand steps each, which have nothing to do with each other."""
NUMBERS = st.integers(0, 5)
WHICH = st.integers(0, 1)
"""The first checkout, or the second where there is one."""
PROMPTS = st.one_of(
    st.sampled_from(SUBJECTS),
    st.builds("{} [fault:{}]".format, st.sampled_from(SUBJECTS), st.sampled_from(FAULTS)),
)
FIELDS = st.one_of(
    st.tuples(st.just("prompt"), PROMPTS),
    st.tuples(st.just("size"), st.sampled_from(SIZES)),
    st.tuples(st.just("quality"), st.sampled_from(sorted(QUALITIES))),
    st.tuples(st.just("takes"), st.integers(1, 3)),
)
SHOTS = st.builds(
    Shot,
    st.sampled_from([signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM]),
    st.integers(0, 250),
)
TAILS = st.sampled_from([b'{"version": 1, "event": "clos', b"\0" * 40, b"{", b'{"version": 1}'])
OPTIONS = {
    "--locked": {"codes": (0, 1, 3), "free": True},
    "--offline": {"codes": (0, 1), "free": True},
    "--placeholder": {"codes": (0, 1), "free": True},
    "--overwrite": {"codes": (0, 1), "overwrite": True},
    "--retry-ambiguous": {"codes": (0, 1), "word": True},
    "--fail-fast": {"codes": (0, 1)},
}
HOUSEKEEPING = {
    ("plan",): {"free": True},
    ("list",): {"free": True},
    ("jobs",): {"free": True},
    ("clean",): {"free": True},
    ("clean", "--stale"): {"free": True},
    ("cache", "stats"): {"free": True},
    ("cache", "verify"): {"codes": (0, 1), "free": True, "forgets": True},
    ("cache", "gc", "--max-size", "0"): {"free": True, "forgets": True},
    ("cache", "gc", "--max-age", "1h"): {"free": True, "forgets": True},
}


class Broken(BaseException):
    """Something that must hold does not. No Exception: Hypothesis would run it again, and kills vary."""


@dataclass
class Log:
    """What a run of many projects comes to."""

    steps: int = 0
    broken: Broken | None = None


def step(**arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule that is counted, and whose failure tells all the steps before it."""

    def decorate(function: Callable[..., None]) -> Any:
        @wraps(function)
        def counted(self: Project, **values: Any) -> None:
            self.log.steps += 1
            self.steps.append(f"{function.__name__}({', '.join(f'{k}={v!r}' for k, v in values.items())})")
            try:
                function(self, **values)
            except Exception as error:
                self.log.broken = Broken(
                    "\n".join([str(error), f"after these steps, the last of {self.log.steps}:", *self.steps])
                )
                raise self.log.broken from error

        return rule(**arguments)(counted)

    return decorate


class Project(RuleBasedStateMachine):
    """What people, disks and services do to a project; `World` says what imgbuild owes them."""

    def __init__(self, make_world: Callable[[], World], log: Log) -> None:
        super().__init__()
        self._world = make_world()
        self.log = log
        self.steps: list[str] = []

    def teardown(self) -> None:
        # Not after a failure: it would hide what failed.
        if sys.exc_info()[0] is None:
            for number in range(len(self._world.checkouts)):
                self.settle(which=number)

    def _checkout(self, number: int) -> Checkout:
        return self._world.checkouts[number % len(self._world.checkouts)]

    def _image(self, checkout: Checkout, number: int) -> str:
        return sorted(checkout.images)[number % len(checkout.images)]

    # Edits

    @step(which=WHICH, number=NUMBERS, field=FIELDS)
    def edit_a_field(self, which: int, number: int, field: tuple[str, Any]) -> None:
        checkout = self._checkout(which)
        self._world.change(checkout, self._image(checkout, number), **dict([field]))

    @step(which=WHICH, id=st.sampled_from(NAMES), prompt=PROMPTS, format=st.sampled_from(FORMATS))
    def add_an_image(self, which: int, id: str, prompt: str, format: str) -> None:
        checkout = self._checkout(which)
        self._world.edit(checkout, {**checkout.images, id: Image(prompt, f"out/{id}.{format}")})

    @step(which=WHICH, number=NUMBERS)
    def remove_an_image(self, which: int, number: int) -> None:
        checkout = self._checkout(which)
        self._world.edit(checkout, renamed(checkout.images, self._image(checkout, number), None))

    @step(which=WHICH, number=NUMBERS, id=st.sampled_from(NAMES))
    def rename_an_image(self, which: int, number: int, id: str) -> None:
        checkout = self._checkout(which)
        if id not in checkout.images:
            self._world.edit(checkout, renamed(checkout.images, self._image(checkout, number), id))

    @step(which=WHICH, number=NUMBERS, name=st.sampled_from(NAMES), format=st.sampled_from(FORMATS))
    def move_an_output(self, which: int, number: int, name: str, format: str) -> None:
        checkout = self._checkout(which)
        self._world.change(checkout, self._image(checkout, number), output=f"out/moved/{name}.{format}")

    @step(which=WHICH, number=NUMBERS, to=st.one_of(NUMBERS, st.just(STYLE)))
    def refer(self, which: int, number: int, to: int | str) -> None:
        checkout = self._checkout(which)
        id = self._image(checkout, number)
        name = to if isinstance(to, str) else self._image(checkout, to)
        references = checkout.images[id].references
        without = tuple(other for other in references if other != name)
        self._world.change(checkout, id, references=without if name in references else (*references, name))

    @step(which=WHICH, shade=st.integers(1, 2))
    def change_the_style(self, which: int, shade: int) -> None:
        self._world.style(self._checkout(which), shade)

    @step()
    def check_out(self) -> None:
        self._world.check_out()

    # Builds

    @step(which=WHICH)
    def build(self, which: int) -> None:
        self._run(which, "build", codes=(0, 1))

    @step(which=WHICH, shot=SHOTS)
    def build_and_shoot(self, which: int, shot: Shot) -> None:
        self._run(which, "build", codes=(0, 1), shot=shot)

    @step(which=WHICH, shot=SHOTS)
    def build_and_shoot_again(self, which: int, shot: Shot) -> None:
        self._run(which, "build", "--retry-ambiguous", codes=(0, 1), shot=shot, word=True)

    @step(which=WHICH, number=NUMBERS)
    def build_one(self, which: int, number: int) -> None:
        self._run(which, "build", self._image(self._checkout(which), number), codes=(0, 1))

    @step(which=WHICH, option=st.sampled_from(sorted(OPTIONS)))
    def build_with(self, which: int, option: str) -> None:
        self._run(which, "build", option, **OPTIONS[option])

    @step(which=WHICH, cents=st.integers(0, 4))
    def build_on_a_budget(self, which: int, cents: int) -> None:
        self._run(which, "build", "--max-cost", f"{cents / 100:g}", codes=(0, 1, 4), most=cents / 100)

    @step(which=st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 0, 0)]), shot=st.one_of(st.none(), SHOTS))
    def build_at_once(self, which: tuple[int, ...], shot: Shot | None) -> None:
        self._world.run_together([self._checkout(number) for number in which], shot)

    @step(which=WHICH)
    def settle(self, which: int) -> None:
        self._world.settle(self._checkout(which))

    # Choices and housekeeping

    @step(which=WHICH, number=NUMBERS, take=st.integers(1, 3))
    def pick(self, which: int, number: int, take: int) -> None:
        checkout = self._checkout(which)
        id = self._image(checkout, number)
        run = self._run(which, "pick", id, str(take), codes=(0, 1, 2), free=True)
        if run.code == 0:
            assert checkout.folder.lock["images"][id]["take"] == take

    @step(which=WHICH, number=NUMBERS, takes=st.integers(1, 2), shot=st.one_of(st.none(), SHOTS))
    def reroll(self, which: int, number: int, takes: int, shot: Shot | None) -> None:
        checkout = self._checkout(which)
        id = self._image(checkout, number)
        self._world.grant(checkout.images[id].wish, takes)
        self._run(which, "reroll", id, "-n", str(takes), codes=(0, 1, 2), shot=shot)

    @step(which=WHICH, words=st.sampled_from(sorted(HOUSEKEEPING)), shot=st.one_of(st.none(), SHOTS))
    def keep_house(self, which: int, words: tuple[str, ...], shot: Shot | None) -> None:
        self._run(which, *words, **HOUSEKEEPING[words], shot=shot)

    @step(which=WHICH, shot=st.one_of(st.none(), SHOTS))
    def restore(self, which: int, shot: Shot | None) -> None:
        lock = self._checkout(which).folder.root / "imgbuild.lock"
        self._run(which, "restore", codes=(0, 1) if lock.exists() else (2,), free=True, shot=shot)

    @step(which=WHICH, number=NUMBERS)
    def list_takes(self, which: int, number: int) -> None:
        self._run(which, "takes", self._image(self._checkout(which), number), codes=(0, 2), free=True)

    @step(which=WHICH, number=NUMBERS, how=st.sampled_from(["forget", "retry"]))
    def decide(self, which: int, number: int, how: str) -> None:
        jobs = sorted(self._world.content.jobs)
        if jobs:
            # What was stored just before a kill is no longer open by the time that it is decided.
            self._run(which, "jobs", how, jobs[number % len(jobs)], codes=(0, 2), free=True, word=True)

    # Faults of disks and people

    @step(number=st.integers(0, 40), how=st.sampled_from(["flip", "truncate", "zero", "delete"]))
    def damage_a_blob(self, number: int, how: str) -> None:
        self._world.damage_blob(number, how)

    @step(number=st.integers(0, 40))
    def delete_a_sidecar(self, number: int) -> None:
        self._world.delete_sidecar(number)

    @step(garbage=st.booleans())
    def lose_the_records(self, garbage: bool) -> None:
        self._world.lose_records(garbage=garbage)

    @step(number=NUMBERS, tail=TAILS)
    def tear_a_journal(self, number: int, tail: bytes) -> None:
        self._world.tear_journal(number, tail)

    @step(which=WHICH)
    def delete_the_working_folder(self, which: int) -> None:
        self._world.delete_workdir(self._checkout(which))

    @step(which=WHICH, number=NUMBERS)
    def delete_an_output(self, which: int, number: int) -> None:
        checkout = self._checkout(which)
        self._world.delete(checkout, checkout.images[self._image(checkout, number)].output)

    @step(which=WHICH, number=NUMBERS, text=st.sampled_from(["mine", "mine as well"]))
    def retouch_an_output(self, which: int, number: int, text: str) -> None:
        checkout = self._checkout(which)
        self._world.retouch(checkout, checkout.images[self._image(checkout, number)].output, text)

    @step(which=WHICH)
    def stash_the_lock(self, which: int) -> None:
        self._world.stash(self._checkout(which))

    def _run(self, which: int, *words: str, **how: Any) -> Run:
        return self._world.run(self._checkout(which), *words, **how)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS if os.environ.get("IMGBUILD_TESTS_FULL") else 1))
def test_whatever_happens_nothing_is_paid_twice_and_nothing_is_lost(
    start_emulator: Callable,
    zygote: Zygote,
    tmp_path: Path,
    full: bool,
    count: Callable[..., None],
    new_project: Callable[..., ProjectFolder],
    outside: Snapshot,
    part: int,
):
    emulator = start_emulator(latency=0.08)
    log = Log()

    def make_world() -> World:
        return World(tmp_path, new_project, emulator, zygote, outside)

    profile = settings(
        max_examples=25 if full else 6,
        stateful_step_count=50 if full else 40,
        database=None,
        deadline=None,
        # A failure is told with its steps: making them fewer would take hours of builds.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    try:
        run_state_machine_as_test(seed(part)(lambda: Project(make_world, log)), settings=profile)
    except BaseException:
        if log.broken is not None:  # and not what Hypothesis makes of a test that does not repeat itself
            raise log.broken from log.broken.__cause__
        raise
    count(log.steps)
    assert log.steps >= (10_000 / PARTS if full else 150)
