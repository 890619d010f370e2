"""Commands as whole processes, in turns: wall, CPU and true peak memory, and their ratios pair by pair."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

PYTHON = sys.executable

_PATIENCE = 90.0
"""Seconds that the rounds of one comparison may take, if there are more than the fewest."""
_FEWEST = 3

_LAUNCHER = """
import posix, sys, time
began = time.perf_counter()
pid = posix.fork()
if pid == 0:
    said = posix.open(sys.argv[1], posix.O_WRONLY | posix.O_CREAT, 0o600)
    posix.dup2(said, 1)
    posix.dup2(said, 2)
    posix.execv(sys.argv[2], sys.argv[2:])
_, status, usage = posix.wait4(pid, 0)
print(time.perf_counter() - began, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""A small process that starts the command: the kernel counts the memory of whoever forks into the peak of
what is then executed, so that a large benchmark process would hide a small peer. This one hides 5 MB."""

_KIB = 1024 if sys.platform != "darwin" else 1
"""The unit of ru_maxrss in bytes."""


class BenchmarkError(Exception):
    """A measurement that cannot be trusted: a command failed, or did not do what it should."""


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of user and system time, with its children."""
    peak: float
    """Megabytes of resident memory, the largest of the process and its children."""
    said: str
    """Standard output and error."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something to measure."""

    name: str
    words: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    """Beside the environment of the benchmarks."""
    expect: str = ""
    """What it has to say, in its output: a run that did something else is no measurement."""
    prepare: Callable[[], None] | None = None
    """Brings everything back to where the measured run begins; not counted."""


@dataclass(frozen=True, slots=True)
class Series:
    """The counted runs of one command."""

    name: str
    runs: tuple[Run, ...]

    @property
    def wall(self) -> float:
        """Median seconds."""
        return median(run.wall for run in self.runs)

    @property
    def cpu(self) -> float:
        """Median seconds of user and system time."""
        return median(run.cpu for run in self.runs)

    @property
    def peak(self) -> float:
        """The largest peak, in megabytes."""
        return max(run.peak for run in self.runs)

    def against(self, other: Series, what: Callable[[Run], float] = lambda run: run.wall) -> float:
        """How many times the other command's: the median of the ratios round by round.

        Where the two ran in different rounds it is the ratio of the medians.
        """
        if len(self.runs) != len(other.runs):
            return median(map(what, self.runs)) / median(map(what, other.runs))
        return median(what(a) / what(b) for a, b in zip(self.runs, other.runs, strict=True))


def run(command: Command) -> Run:
    """One process from start to end.

    Raises:
        BenchmarkError: it failed, or did not say what it should have said.
    """
    if command.prepare is not None:
        command.prepare()
    # On CI a build is --locked, which is not what is measured; nor is Python without its bytecode or buffers.
    given = os.environ.items()
    environ = {n: v for n, v in given if n not in ("CI", "NO_COLOR") and not n.startswith("PYTHON")}
    program = shutil.which(command.words[0])
    if program is None:
        raise BenchmarkError(f"{command.words[0]} is not installed")
    with tempfile.TemporaryDirectory(prefix="imgbuild-benchmark-") as folder:
        said = Path(folder, "said")
        done = subprocess.run(
            [PYTHON, "-I", "-S", "-c", _LAUNCHER, str(said), program, *command.words[1:]],
            cwd=command.cwd,
            env={**environ, **command.environ},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        text = said.read_text(errors="replace")
    wall, status, cpu, peak = map(float, done.stdout.split())
    if code := os.waitstatus_to_exitcode(int(status)):
        raise BenchmarkError(f"{command.name} ended with {code}: {text[-1000:].strip()}")
    if command.expect not in text:
        raise BenchmarkError(f"{command.name} did not say {command.expect!r} but: {text[-1000:].strip()}")
    return Run(wall, cpu, peak * _KIB / 1e6, text)


def in_turns(commands: Sequence[Command], rounds: int, *, warm_up: bool = True) -> dict[str, Series]:
    """Run the commands A B C A B C ..., so that what else the machine does falls on all of them alike.

    One round goes before that is not counted: it fills the caches. Where it took long, fewer rounds must do.

    Raises:
        BenchmarkError: a run failed, or did not do what it should.
    """
    if warm_up:
        began = perf_counter()
        for command in commands:
            run(command)
        affordable = int(_PATIENCE / (perf_counter() - began))
        rounds = max(min(rounds, affordable), min(rounds, _FEWEST))
    taken: dict[str, list[Run]] = {command.name: [] for command in commands}
    for _ in range(rounds):
        for command in commands:
            taken[command.name].append(run(command))
    return {name: Series(name, tuple(runs)) for name, runs in taken.items()}


def bare_python(cwd: Path) -> Command:
    """The least that any program in this interpreter costs."""
    return Command("python -c pass", (PYTHON, "-c", "pass"), cwd)
