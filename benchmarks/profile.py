"""Where the time of a build with nothing to do goes, and that of a plan from nothing."""

from __future__ import annotations

import pstats
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import PYTHON, Command, bare_python, in_turns, run
from benchmarks.peers import program
from benchmarks.project import by_matrix, folder, hand_written, settle
from benchmarks.scale import Scale
from benchmarks.table import Table

_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
_CALLS = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)
_PACKAGES, _FUNCTIONS, _SYSTEM_CALLS = 5, 12, 5
"""How many of each are shown, the largest first."""

Row = tuple[str, str, str, str]


def measure(scale: Scale) -> Table:
    """The start, the imports, the functions and the system calls of both commands."""
    count = scale.of(10_000, 100)
    rows: list[Row] = []
    with folder() as path:
        project = hand_written(path / "settled", count)
        settle(project)
        build = project.command("build", expect=f"{count} images, nothing to do")
        run(build)
        rows += _parts(build, path)
    with folder() as path:
        new = by_matrix(path / "new", count)
        plan = replace(new.command("plan", expect=f"{count} to generate"), prepare=new.forget)
        rows += _parts(plan, path)
    return Table(
        f"Where the time goes, {count:,} images",
        ("command", "part", "ms", "calls"),
        tuple(rows),
        budget="none: this is where to look next",
        met=None,
        notes=(
            "Imports were timed by -X importtime and count what `python -c pass` does not import. Functions "
            "were timed by cProfile, without those that they call; it makes small ones look slower than they "
            "are. System calls were counted by strace, where it is installed.",
        ),
    )


def _parts(command: Command, path: Path) -> list[Row]:
    bare = bare_python(path)
    series = in_turns([bare, command], 7)
    named = command.name
    return [
        (named, "everything", _ms(series[named].wall), "-"),
        (named, "of it python itself", _ms(series[bare.name].wall), "-"),
        *((named, f"import {package}", _ms(took), str(n)) for package, took, n in _imports(command, path)),
        *((named, what, _ms(took), str(calls)) for what, took, calls in _functions(command, path)),
        *((named, f"system call {name}", "-", str(calls)) for name, calls in _system_calls(command, path)),
    ]


def _ms(took: float) -> str:
    return f"{took * 1000:.1f}"


def _imports(command: Command, path: Path) -> list[tuple[str, float, int]]:
    """Seconds and modules by package, the standard library as one, and the sum of all."""
    flags = ("-X", "importtime")
    bare = run(Command("imports of nothing", (PYTHON, *flags, "-c", "pass"), path))
    known = {name for _, name in _IMPORT.findall(bare.said)}
    said = run(replace(command, words=(PYTHON, *flags, *command.words[1:]))).said
    new = [(name, int(took) / 1e6) for took, name in _IMPORT.findall(said) if name not in known]
    took: defaultdict[str, float] = defaultdict(float)
    modules: Counter[str] = Counter()
    for name, one in new:
        package = name.partition(".")[0]
        took[package] += one
        modules[package] += 1
    largest = sorted(took, key=lambda package: -took[package])[:_PACKAGES]
    total = ("(all)", sum(one for _, one in new), len(new))
    return [total, *((package, took[package], modules[package]) for package in largest)]


def _functions(command: Command, path: Path) -> list[tuple[str, float, int]]:
    """Name, seconds and calls of the functions that take the most time themselves."""
    kept = path / "profile"
    flags = ("-m", "cProfile", "-o", str(kept))
    run(replace(command, words=(PYTHON, *flags, *command.words[1:])))
    stats = pstats.Stats(str(kept)).stats  # type: ignore[attr-defined]
    found = [(_place(place), own, calls) for place, (_, calls, own, _, _) in stats.items() if own > 0]
    return sorted(found, key=lambda one: -one[1])[:_FUNCTIONS]


def _place(place: tuple[str, int, str]) -> str:
    """Where a function is, e.g. "store/index.py:120 load"."""
    file, line, name = place
    if file == "~":
        return name
    return f"{'/'.join(Path(file).parts[-2:])}:{line} {name}"


def _system_calls(command: Command, path: Path) -> list[tuple[str, int]]:
    strace = program("strace")
    if strace is None:
        return []
    kept = path / "strace"
    run(replace(command, words=(strace, "-f", "-c", "-o", str(kept), *command.words)))
    found = [(name, int(calls)) for calls, name in _CALLS.findall(kept.read_text()) if name != "total"]
    return sorted(found, key=lambda one: -one[1])[:_SYSTEM_CALLS]
