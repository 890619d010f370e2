"""What memory a build takes when every answer is many megabytes, and whether it grows with their number."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import PYTHON, BenchmarkError, Command, Run, run
from benchmarks.scale import Scale
from benchmarks.table import Table

PLACES = 64
MOST = 250.0
"""Megabytes."""
GROWTH = 1.1
"""The ratio of the peaks that still counts as the same: what is allocated when is different in every run."""

_MANIFEST = """\
version: 1
providers:
  studio:
    type: openai
    base_url: http://127.0.0.1:{port}/v1
    api_key: "${{KEY:-benchmark}}"
    concurrency: {places}
defaults: {{provider: studio, model: gpt-image-2, size: 1440x1440}}
images:
  scene:
    foreach: {{items: [{items}], as: number}}
    prompt: "scene {{{{ number.id }}}}"
    output: "out/{{{{ number.id }}}}.jpg"
"""


def measure(scale: Scale) -> Table:
    """Build from synchronous answers of 8.3 MB, so many and twice as many."""
    counts = (scale.of(1000, 48), scale.of(2000, 96))
    runs = [_build(count) for count in counts]
    rows = tuple(
        (f"{count:,}", f"{count * 8.3 / 1000:.1f}", f"{one.peak:.0f}", f"{one.wall:.0f}", f"{one.cpu:.0f}")
        for count, one in zip(counts, runs, strict=True)
    )
    peaks = [one.peak for one in runs]
    return Table(
        f"Synchronous answers of 8.3 MB, {PLACES} in flight",
        ("answers", "GB received", "peak MB", "wall s", "CPU s"),
        rows,
        f"peak at most {MOST:g} MB, and the same for twice as many",
        None if scale.small else max(peaks) <= MOST and peaks[1] <= peaks[0] * GROWTH,
        (
            "each answer is a PNG of noise, another one every time, 1440x1440, in base64; it is decoded, "
            "checked, kept and recorded, and a JPEG is derived from it",
            f'"the same": less than {GROWTH:g} times as much',
        ),
    )


@contextmanager
def _service() -> Iterator[str]:
    process = subprocess.Popen(
        [PYTHON, "-m", "benchmarks.large_answers"],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise BenchmarkError("the service for the memory benchmark did not start")
        yield port
    finally:
        process.terminate()
        process.communicate()


def _build(images: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="imgbuild-memory-") as folder, _service() as port:
        project = Path(folder, "project")
        project.mkdir()
        items = ", ".join(f"{{id: i{number:04}}}" for number in range(images))
        text = _MANIFEST.format(port=port, places=PLACES, items=items)
        (project / "imgbuild.yaml").write_text(text)
        command = Command(
            "imgbuild build",
            (PYTHON, "-m", "imgbuild", "build", "--yes", "-q", "--output-format", "json"),
            project,
            {"IMGBUILD_CACHE_DIR": str(Path(folder, "cache"))},
            expect=f'"generated": {images}',
        )
        return run(command)
