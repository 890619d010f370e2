"""A plan after one entry of a long manifest was edited, beside one that remembers nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import count as counter

from benchmarks.measure import bare_python, in_turns, run
from benchmarks.project import change, folder, hand_written, settle
from benchmarks.scale import Scale
from benchmarks.table import Table, megabytes, ratio, seconds

_BUDGET = 0.25


def measure(scale: Scale) -> Table:
    """`imgbuild plan` of a built project: without what `.imgbuild/` remembers, and after an edit with it."""
    count = scale.of(10_000, 50)
    numbers = counter(1)
    with folder() as path:
        project = hand_written(path / "project", count)
        settle(project)
        build = project.command("build")

        def edit() -> None:
            # The build remembers the manifest as it is now, and makes the entry's placeholder.
            run(build)
            change(project, count // 2, f"a flat icon, version {next(numbers)}")

        whole = project.command("plan", name="plan, nothing remembered", expect="1 to generate")
        edited = replace(whole, name="plan, one entry edited", prepare=edit)
        # The first of a round forgets what the second of the last round was planned with, and plans the same.
        edit()
        commands = [bare_python(path), replace(whole, prepare=project.forget), edited]
        series = in_turns(commands, scale.of(7, 1))
    bare, nothing, after = series.values()
    rows = [
        (
            one.name,
            seconds(one.wall),
            seconds(one.cpu),
            megabytes(one.peak),
            ratio(one.against(bare)),
            ratio(one.against(nothing)),
        )
        for one in (bare, nothing, after)
    ]
    return Table(
        "A plan after an edit",
        ("command", "wall s", "CPU s", "peak MB", "x python", "x from nothing"),
        tuple(rows),
        budget=f"after one of {count:,} hand-written entries changed at most {_BUDGET:g}x one from nothing",
        met=None if scale.small else after.against(nothing) <= _BUDGET,
        notes=(f"{count:,} images are up to date but for the one that was edited.",),
    )
