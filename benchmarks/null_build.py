"""A build with nothing to do: imgbuild beside the build tools that people know."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import Series, bare_python, in_turns
from benchmarks.peers import PEERS, PEERS_VARIABLE, prepared
from benchmarks.project import folder, hand_written, settle
from benchmarks.scale import Scale
from benchmarks.table import Table, megabytes, ratio, seconds

_OURS = "imgbuild build"
_PYTHON = "python -c pass"
_NINJA = "ninja"
_SLOW_ROUNDS = 3
_SMALL = 50
"""The targets of a smoke test that slow tools take part in, too."""
_MOST_NINJA, _MOST_PYTHON, _MOST_MEGABYTES = 1.5, 5.0, 40.0


def measure(scale: Scale) -> Table:
    """N images and N targets, everything up to date."""
    judged = scale.of(10_000, 500)
    sizes = (_SMALL, 500) if scale.small else (1_000, 10_000, 100_000)
    rows: list[tuple[str, ...]] = []
    found: dict[int, dict[str, Series]] = {}
    for count in sizes:
        print(f"  {count:,} targets", file=sys.stderr, flush=True)
        with folder() as path:
            found[count] = _series(path, count, scale)
        rows += _rows(count, found[count])
    missing = [peer.name for peer in PEERS if not any(peer.name in series for series in found.values())]
    notes = [
        "Every image has its own prompt and one output of 20 KB, and so has every target of the peers. make "
        "does not notice a changed command, so its targets depend on the Makefile instead. Slow tools ran "
        f"{_SLOW_ROUNDS} times, and only up to the number of targets that they can be brought to in minutes.",
        "Peaks below 5 MB cannot be told from 5.",
    ]
    if missing:
        notes.append(f"Not installed, neither on the PATH nor in {PEERS_VARIABLE}: {', '.join(missing)}.")
    return Table(
        "A build with nothing to do",
        ("targets", "command", "wall s", "CPU s", "peak MB", "x ninja", "x python", "CPU x ninja"),
        tuple(rows),
        budget=(
            f"with 10,000 images at most {_MOST_NINJA:g}x ninja, {_MOST_PYTHON:g}x `{_PYTHON}` and "
            f"{_MOST_MEGABYTES:g} MB; with 100,000 faster than ninja"
        ),
        met=None if scale.small else _met(found[judged], found[sizes[-1]]),
        notes=tuple(notes),
    )


def _series(path: Path, count: int, scale: Scale) -> dict[str, Series]:
    project = hand_written(path / "imgbuild", count)
    settle(project)
    # The first build of all is the one that takes everything in; it is among what warms up.
    ours = project.command("build", expect=f"{count} images, nothing to do")
    bare = bare_python(path)
    able = [peer for peer in PEERS if count <= (_SMALL if scale.small and peer.slow else peer.largest)]
    ready = {peer: prepared(peer, path, count) for peer in able}
    quick = [command for peer, command in ready.items() if command and not peer.slow]
    slow = [command for peer, command in ready.items() if command and peer.slow]
    series = in_turns([bare, ours, *quick], scale.of(21, 2))
    return {**in_turns([bare, *quick[:1], *slow], scale.of(_SLOW_ROUNDS, 1)), **series} if slow else series


def _rows(count: int, series: dict[str, Series]) -> list[tuple[str, ...]]:
    """One tool a row, the fastest first."""
    bare, ninja = series[_PYTHON], series.get(_NINJA)
    return [
        (
            f"{count:,}",
            one.name,
            seconds(one.wall),
            seconds(one.cpu),
            megabytes(one.peak),
            ratio(one.against(ninja) if ninja else None),
            ratio(one.against(bare)),
            ratio(one.against(ninja, lambda run: run.cpu) if ninja else None),
        )
        for one in sorted(series.values(), key=lambda one: one.wall)
    ]


def _met(judged: dict[str, Series], large: dict[str, Series]) -> bool | None:
    ours = judged[_OURS]
    sound = ours.against(judged[_PYTHON]) <= _MOST_PYTHON and ours.peak <= _MOST_MEGABYTES
    if _NINJA not in judged:
        return None if sound else False
    return sound and ours.against(judged[_NINJA]) <= _MOST_NINJA and large[_OURS].against(large[_NINJA]) < 1
