"""From a save in the editor to the new plan, in a process that stays."""

from __future__ import annotations

import gc
from statistics import median
from time import perf_counter, process_time

from benchmarks.measure import BenchmarkError, run
from benchmarks.project import change, folder, hand_written, settle
from benchmarks.scale import Scale
from benchmarks.table import Table
from imgbuild.core.events import ActionKind
from imgbuild.run.planning import plan_workspace

_BUDGET = 150
"""Milliseconds."""


def measure(scale: Scale) -> Table:
    """The manifest is saved with one entry changed; the same process opens and plans it again."""
    count = scale.of(1_000, 50)
    opened: list[float] = []
    planned: list[float] = []
    worked: list[float] = []
    with folder() as path:
        project = hand_written(path / "project", count)
        settle(project)
        run(project.command("build"))
        for number in range(scale.of(12, 3)):
            change(project, count // 2, f"a flat icon, saved {number} times")
            gc.collect()
            began, busy_since = perf_counter(), process_time()
            workspace = project.open()
            middle = perf_counter()
            plan = plan_workspace(workspace)
            end = perf_counter()
            worked.append(process_time() - busy_since)
            busy = [action for action in plan.actions if action.kind is not ActionKind.NONE]
            if len(plan.actions) != count or len(busy) != 1:
                raise BenchmarkError(f"one of {count} images was edited, and the plan has {len(busy)}")
            opened.append(middle - began)
            planned.append(end - middle)
            workspace.cache.close()
    # The first one imports everything, which a process that stays has done before.
    both = [first + second for first, second in zip(opened[1:], planned[1:], strict=True)]
    wall = median(both) * 1000
    return Table(
        "From a save to the new plan",
        ("images", "open ms", "plan ms", "both ms", "slowest ms", "CPU ms", "of the budget"),
        (
            (
                f"{count:,}",
                f"{median(opened[1:]) * 1000:.0f}",
                f"{median(planned[1:]) * 1000:.0f}",
                f"{wall:.0f}",
                f"{max(both) * 1000:.0f}",
                f"{median(worked[1:]) * 1000:.0f}",
                f"{wall / _BUDGET:.2f}x",
            ),
        ),
        budget=f"1,000 images take at most {_BUDGET} ms",
        met=None if scale.small else wall <= _BUDGET,
        notes=(
            "Measured without the watching itself: opening and planning the project in a process that did so "
            "before. The way of the notification from the file system comes on top.",
        ),
    )
