"""From a save in the editor to the new plan, in a session that watches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO

from benchmarks.measure import PYTHON, BenchmarkError, run
from benchmarks.project import Project, change, folder, hand_written, settle
from benchmarks.scale import Scale
from benchmarks.table import Table

_BUDGET = 150
"""Milliseconds."""
_QUIET = 50
"""Milliseconds without another event, which are waited for on purpose."""


def measure(scale: Scale) -> Table:
    """The manifest is saved with one entry changed; the session tells what it is going to do."""
    count = scale.of(1_000, 50)
    saves = scale.of(20, 3)
    waited: list[float] = []
    with folder() as path:
        project = hand_written(path / "project", count)
        settle(project)
        run(project.command("build"))
        with _session(project) as (process, events):
            _until(events, "summary")
            # The first one makes acquaintance with the entries.
            for number in range(saves + 1):
                if number == 1:
                    busy_since = _processor(process.pid)
                began = perf_counter()
                change(project, count // 2, f"a flat icon, saved {number} times")
                _until(events, "action")
                waited.append(perf_counter() - began)
                _until(events, "summary")
            worked = (_processor(process.pid) - busy_since) / saves
    wall = median(waited[1:]) * 1000
    return Table(
        "From a save to the new plan",
        (
            "images",
            "save to plan ms",
            "without the wait for quiet",
            "slowest ms",
            "CPU ms a round",
            "of the budget",
        ),
        (
            (
                f"{count:,}",
                f"{wall:.0f}",
                f"{wall - _QUIET:.0f}",
                f"{max(waited[1:]) * 1000:.0f}",
                f"{worked * 1000:.0f}",
                f"{wall / _BUDGET:.2f}x",
            ),
        ),
        budget=f"{count:,} images take at most {_BUDGET} ms",
        met=None if scale.small else wall <= _BUDGET,
        notes=(
            "The real `imgbuild watch`: from the moment before the file is written to the line that tells "
            f"what is going to be done. About {_QUIET} ms of it are waited, in case that there is more to be "
            "saved. The processor's time is that of a whole round, with one placeholder drawn and the lock "
            "written.",
        ),
    )


@contextmanager
def _session(project: Project) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A session on a project, and its events."""
    process = subprocess.Popen(
        [PYTHON, "-m", "imgbuild", "watch", "--output-format", "json"],
        cwd=project.root,
        env={**os.environ, **project.environ, "CI": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def _until(events: IO[str], name: str) -> None:
    """Read on until an event of a kind is there."""
    for line in events:
        if json.loads(line)["event"] == name:
            return
    raise BenchmarkError(f"the session has ended before there was another {name}")


def _processor(pid: int) -> float:
    """Seconds of the processor that a process has used (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
