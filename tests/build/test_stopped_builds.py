"""A build that is told to stop while images wait for a place, and for each other's generation."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
from project_folder import STUDIO, ProjectFolder, start


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_with_images_that_wait_for_a_place_and_for_each_other(
    project: ProjectFolder, start_emulator: Callable, how: signal.Signals, code: int
):
    emulator = start_emulator(latency=2.0, jitter=0.0)
    images = "".join(f"  i{n}: {{prompt: p{n % 4}, size: 64x64, output: out/{n}.png}}\n" for n in range(9))
    text = STUDIO.format(url=emulator.url).replace("poll_", "concurrency: 2\n    poll_")
    project.manifest(text + "images:\n" + images)
    build = start(project, "-m", "imgbuild", "build", "--output-format", "json")
    while emulator.ledger()["requests"].get("GET /v1/images/tasks/{task_id}", 0) < 2:
        assert build.poll() is None, build.communicate()
        time.sleep(0.02)
    build.send_signal(how)
    out, err = build.communicate()
    assert build.returncode == code, err
    assert "in flight, and gone on with by the next build: i0, i1" in out
    run = project.json("build")
    assert (run.summary["resumed"], run.summary["submitted"], run.summary["failed"]) == (2, 2, 0)
    assert len(emulator.ledger()["charges"]) == 4
