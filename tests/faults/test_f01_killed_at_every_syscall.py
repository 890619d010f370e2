"""F01: killed before any one of its system calls, a build loses nothing and the next one pays nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from interception import KILL, Call, Verdict
from invariants import Snapshot
from project_folder import ProjectFolder, Run
from workload import CALLS, Workload
from zygote import Zygote

ROUND = 50
"""Calls by which each of many killed builds gets further than the one before."""


@pytest.fixture
def work(project: ProjectFolder, emulator, zygote: Zygote, outside: Snapshot) -> Workload:
    return Workload(project, emulator, zygote, outside)


@pytest.mark.timeout(3600)
def test_killed_before_any_of_its_calls_a_build_is_gone_on_with(
    work: Workload, full: bool, count: Callable[[int], None]
):
    survived: Counter[str] = Counter()

    def note(call: Call) -> Verdict:
        survived[call.name] += work.changes_something(call)
        return None

    work.begin()
    assert work.build(CALLS, note).code == 0
    assert set(survived) == set(CALLS)
    for place, name in enumerate(CALLS):
        if not full:
            # A place for each call, from the first of one to the last of another.
            count(_killed(work, name, 1 + place * (survived[name] - 1) // (len(CALLS) - 1)))
            continue
        n, killed = 0, True
        # Threads make no two runs alike: the last ones may be missing, or there may be more.
        while killed or n < survived[name]:
            n += 1
            killed = _killed(work, name, n)
            count(killed)


def test_killed_again_and_again_it_ends_all_the_same(work: Workload, count: Callable[[int], None]):
    work.begin()
    runs: list[Run] = []
    while not runs or runs[-1].code < 0:
        # Each gets further than the one before, or none would ever get past what a start needs.
        left = ROUND * (1 + len(runs))

        def decide(call: Call) -> Verdict:
            nonlocal left
            left -= work.changes_something(call)
            return KILL if left < 0 else None

        runs.append(work.build(CALLS, decide))
        work.check(*runs)
        count(runs[-1].code < 0)
    assert len(runs) > 3
    work.converge(*runs)


def _killed(work: Workload, name: str, n: int) -> bool:
    """Kill a build before its n-th call of this name and build again; False when it has no such call."""
    left = n
    last = ""

    def decide(call: Call) -> Verdict:
        nonlocal left, last
        if not work.changes_something(call):
            return None
        left -= 1
        last = " -> ".join(call.paths)
        return KILL if left == 0 else None

    work.begin()
    run = work.build([name], decide)
    assert run.code == (-9 if left <= 0 else 0), run
    try:
        work.check(run)
        work.converge(run)
    except AssertionError as error:
        error.add_note(f"killed before {name} number {n}: {last}")
        raise
    return run.code < 0
