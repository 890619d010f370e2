"""A plan from nothing: manifest, expansion, keys and the look at an empty cache."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial

from benchmarks.measure import bare_python, in_turns
from benchmarks.project import Project, by_matrix, folder
from benchmarks.scale import Scale
from benchmarks.table import Table, megabytes, ratio, seconds

_BUDGET = 1.5
"""Seconds."""


def measure(scale: Scale) -> Table:
    """`imgbuild plan` of a matrix whose images were never built, without anything kept from before."""
    rows: list[tuple[str, ...]] = []
    met = False
    for count in (scale.of(900, 25), scale.of(10_000, 100)):
        with folder() as path:
            project = by_matrix(path / "project", count)
            plan = project.command("plan", expect=f"{count} to generate")
            commands = [bare_python(path), replace(plan, prepare=partial(_from_nothing, project))]
            series = in_turns(commands, scale.of(9, 2))
        bare, planned = (series[command.name] for command in commands)
        rows.append(
            (
                f"{count:,}",
                seconds(planned.wall),
                seconds(planned.cpu),
                megabytes(planned.peak),
                f"{planned.wall / count * 1e6:.0f}",
                ratio(planned.against(bare)),
            )
        )
        met = planned.wall <= _BUDGET
    return Table(
        "A plan from nothing",
        ("images", "wall s", "CPU s", "peak MB", "µs an image", "x python"),
        tuple(rows),
        budget=f"10,000 images by matrix take at most {_BUDGET:g} s",
        met=None if scale.small else met,
        notes=("The plan is printed, a line an image. A budget in seconds holds on a quiet machine only.",),
    )


def _from_nothing(project: Project) -> None:
    project.forget()
    shutil.rmtree(project.cache, ignore_errors=True)
