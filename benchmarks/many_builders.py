"""What many builders on one shared cache cost it: requests, bytes and claims, counted by the store itself."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.emulated_service import bill, emulated
from benchmarks.measure import PYTHON, BenchmarkError
from benchmarks.project import Project, folder, hand_written, settle
from benchmarks.scale import Scale
from benchmarks.shared_store import Counted, StoreAddress, running_store
from benchmarks.table import Table

_BYTES = 2_000
"""Of an output, where nothing is drawn: what grows with it is told by arithmetic."""
_HEAD = """\
cache: {{remote: '{store}', timeout: 300s}}
providers:
  studio:
    type: uniall
    base_url: {url}
    api_key: "${{KEY:-emulated}}"
    concurrency: 8
    poll_interval: 200ms
defaults: {{provider: studio, model: gpt-image-2, quality: low}}
"""


@dataclass(frozen=True, slots=True)
class _Round:
    """Builders that ran at once, and what came of it."""

    what: str
    builders: int
    images: int
    counted: Counted
    wall: float
    cpu: float
    charges: int

    def row(self) -> tuple[str, ...]:
        counted, images = self.counted, self.images
        return (
            self.what,
            f"{self.builders:,}",
            f"{images:,}",
            f"{self.charges:,}",
            _each(counted.reads() - counted.reads("claim"), images),
            _each(counted.writes() - counted.writes("claim"), images),
            _each(counted.reads("claim"), images),
            _each(counted.writes("claim"), images),
            _each(counted.received / 1000, images),
            _each(counted.sent / 1000, images),
            _each(1000 * self.cpu, images),
            f"{self.wall:.0f}",
        )


def measure(scale: Scale) -> Table:
    """Pay with many builders, share what was paid for, and restore a large project on many new machines."""
    builders = scale.of(50, 3)
    paid, restored = scale.of(2_000, 12), scale.of(100_000, 60)
    rounds: list[_Round] = []
    with folder() as base, running_store() as store, emulated("--latency", "0.5s") as url:
        head = _HEAD.format(store=store.s3, url=url)
        own = _projects(base / "own", builders, paid // builders, head)
        rounds.append(_run("each pays for its own", own, store, url, ("build",)))
        kept = rounds[0].counted.kept
        same = _projects(base / "same", builders, paid // builders, head, alike=True)
        rounds.append(_run("all want the same", same, store, url, ("build",)))
        if rounds[-1].charges != paid // builders:
            raise BenchmarkError(f"{rounds[-1].charges} charges for {paid // builders} images")
        for project in own:
            _forget(project)
            (project.root / "imgbuild.lock").unlink()
        rounds.append(_run("new machines, no lock", own, store, url, ("build",)))
        for project in own:
            _forget(project)
        rounds.append(_run("new machines, --locked", own, store, url, ("build", "--locked")))
        rounds.append(_run("nothing to do", own, store, url, ("build", "--locked")))
    with folder() as base, running_store() as store:
        large = _settled(base, builders, restored // builders, store)
        rounds.append(_run("new machines, --locked", large, store, None, ("build", "--locked")))
    return Table(
        f"{builders} builders at once on one shared cache",
        (
            "what", "builders", "images", "charges", "reads", "writes", "claim reads", "claim writes",
            "kB in", "kB out", "CPU ms", "wall s",
        ),
        tuple(one.row() for one in rounds),
        "none: this is what it costs",
        None,
        (
            "requests, bytes and CPU time are for each image, which counts once where all want the same",
            "the store is an object store in memory that counts; the service is emulated and takes 0.5 s",
            "bytes that the store keeps for each image that was paid for: "
            + ", ".join(f"{kind} {size // paid:,}" for kind, size in sorted(kept.items())),
        ),
    )  # fmt: skip


def _each(total: float, images: int) -> str:
    return f"{total / images:.2f}" if total else "-"


def _projects(base: Path, builders: int, each: int, head: str, *, alike: bool = False) -> list[Project]:
    """A machine for each builder, with images of its own or with the same."""
    base.mkdir()
    firsts = [0 if alike else number * each for number in range(builders)]
    start = 1_000_000 if alike else 0
    return [
        hand_written(base / f"m{number}", each, start + first, head) for number, first in enumerate(firsts)
    ]


def _settled(base: Path, builders: int, each: int, store: StoreAddress) -> list[Project]:
    """Machines that have a manifest and a lock and nothing else; the store has every output."""
    head = f"cache: {{remote: '{store.s3}', timeout: 300s}}\n"
    projects = [hand_written(base / f"m{number}", each, number * each, head) for number in range(builders)]
    for number, project in enumerate(projects):
        settle(project, number * each, _BYTES)
        store.fill((project.root / "out").iterdir())
        _forget(project)
    return projects


def _forget(project: Project) -> None:
    """Leave what a checkout has: the manifest and the lock."""
    for path in (project.cache, project.root / "out", project.root / ".imgbuild"):
        shutil.rmtree(path, ignore_errors=True)


def _run(
    what: str, projects: Sequence[Project], store: StoreAddress, url: str | None, words: Sequence[str]
) -> _Round:
    """Start a builder for each project at once, and wait for all of them.

    Raises:
        BenchmarkError: one of them failed.
    """
    store.counted()
    before = len(bill(url)["charges"]) if url else 0
    cpu, began = _cpu(), perf_counter()
    # Into files: a builder whose pipe is full would wait for its reader.
    said = [project.root.with_name(f"{project.root.name}.said") for project in projects]
    running: list[subprocess.Popen[bytes]] = []
    for project, path in zip(projects, said, strict=True):
        with path.open("wb") as file:
            running.append(
                subprocess.Popen(
                    [PYTHON, "-m", "imgbuild", *words, "--require-remote", "--output-format", "json", "-q"],
                    cwd=project.root,
                    env={**_environ(), **project.environ, **store.environ},
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            )
    codes = [process.wait() for process in running]
    wall = perf_counter() - began
    for code, path in zip(codes, said, strict=True):
        if code:
            raise BenchmarkError(f"{what}: a builder ended with {code}: {path.read_text()[-1000:]}")
    summaries = [json.loads(path.read_text().splitlines()[-1]) for path in said]
    images = sum(one["generated"] + one["restored"] + one["derived"] + one["unchanged"] for one in summaries)
    alike = what == "all want the same"
    sys.stderr.write(f"  {what}: {wall:.0f} s\n")
    return _Round(
        what,
        len(projects),
        images // len(projects) if alike else images,
        store.counted(),
        wall,
        _cpu() - cpu,
        len(bill(url)["charges"]) - before if url else 0,
    )


def _environ() -> dict[str, str]:
    # On CI a build is --locked, which is only some of what is measured.
    return {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
