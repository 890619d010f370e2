"""How close a build comes to the ideal schedule of what a slow service takes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from heapq import heapify, heapreplace
from pathlib import Path

from benchmarks.emulated_service import bill, emulated
from benchmarks.measure import PYTHON, BenchmarkError, Command, run
from benchmarks.scale import Scale
from benchmarks.table import Table, ratio, seconds

PLACES = 64
SPEED_UP = 8.0
"""A service's time is divided by this, and so is the interval of polls."""
MEDIAN = 45.0
"""Seconds that an image takes at a real service: 30 to 120 are usual."""
INTERVAL = 2.0
"""Seconds between two polls at a real service: the shortest that the services recommend."""
SPREAD = 0.5
"""The sigma of the log-normal law."""
MOST = 1.05

_MANIFEST = """\
version: 1
providers:
  studio:
    type: uniall
    base_url: {url}
    api_key: "${{KEY:-emulated}}"
    concurrency: {places}
    poll_interval: {interval:.0f}ms
defaults: {{provider: studio, model: NanoBanana2-0.5K, ratio: "1:1"}}
images:
  scene:
    foreach: {{items: [{items}], as: number}}
    prompt: "scene {{{{ number.id }}}}"
    output: "out/{{{{ number.id }}}}.jpg"
"""


def measure(scale: Scale) -> Table:
    """Build through the emulator, and hold the wall clock against the latencies that its ledger tells."""
    images = scale.of(1000, 128)
    rows = []
    ratios = []
    notes = [
        f"the service is {SPEED_UP:g} times as fast as a real one: log-normal latencies, median "
        f"{MEDIAN / SPEED_UP:.2f} s for {MEDIAN:g} s, sigma {SPREAD}; a poll every "
        f"{INTERVAL / SPEED_UP:.2f} s for {INTERVAL:g} s. What imgbuild itself does is no faster for that.",
        "ideal: each image begins on the place that is free first, in the order of the bill; the build is "
        "the whole command, with its start, its plan and its last output",
    ]
    for _ in range(scale.of(3, 1)):
        one = _once(images)
        ratios.append(one.wall / one.ideal)
        rows.append(
            (
                f"{images:,}",
                seconds(one.ideal),
                seconds(one.wall),
                ratio(ratios[-1]),
                f"{one.polls / images:.1f}",
                f"{one.cpu:.1f}",
                f"{one.peak:.0f}",
            )
        )
    return Table(
        f"Asynchronous provider, {images:,} images, {PLACES} in flight",
        ("images", "ideal s", "build s", "ratio", "polls an image", "CPU s", "peak MB"),
        tuple(rows),
        f"wall at most {MOST:g} of the ideal schedule",
        None if scale.small else sorted(ratios)[len(ratios) // 2] <= MOST,
        tuple(notes),
    )


class _Once:
    """One build and its bill."""

    def __init__(self, wall: float, cpu: float, peak: float, ideal: float, polls: int) -> None:
        self.wall, self.cpu, self.peak, self.ideal, self.polls = wall, cpu, peak, ideal, polls


def _once(images: int) -> _Once:
    latency = f"{MEDIAN / SPEED_UP:.3f}s"
    with (
        tempfile.TemporaryDirectory(prefix="imgbuild-schedule-") as folder,
        emulated("--latency", latency, "--reading", f"jitter={SPREAD}") as url,
    ):
        project, cache = Path(folder, "project"), Path(folder, "cache")
        project.mkdir()
        items = ", ".join(f"{{id: i{number:04}}}" for number in range(images))
        interval = 1000 * INTERVAL / SPEED_UP
        text = _MANIFEST.format(url=url, places=PLACES, interval=interval, items=items)
        (project / "imgbuild.yaml").write_text(text)
        command = Command(
            "imgbuild build",
            (PYTHON, "-m", "imgbuild", "build", "--yes", "-q", "--output-format", "json"),
            project,
            {"IMGBUILD_CACHE_DIR": str(cache)},
            expect=f'"generated": {images}',
        )
        done = run(command)
        ledger = bill(url)
    charges = ledger["charges"]
    if len(charges) != images:
        raise BenchmarkError(f"{len(charges)} charges for {images} images")
    polls = sum(count for route, count in ledger["requests"].items() if route.startswith("GET /v1/images"))
    return _Once(done.wall, done.cpu, done.peak, ideal([c["seconds"] for c in charges], PLACES), polls)


def ideal(latencies: Sequence[float], places: int) -> float:
    """Seconds until all are done when each begins, in this order, on the place that is free first."""
    free = [0.0] * places
    heapify(free)
    for latency in latencies:
        heapreplace(free, free[0] + latency)
    return max(free)
