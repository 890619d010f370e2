"""The benchmarks of shared caches run, and what they count is what the documentation says. In a full run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not os.environ.get("IMGBUILD_TESTS_FULL"), reason="starts a process for each builder"
)


def table(name: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--small"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_fresh_machine_is_measured_beside_a_plain_download() -> None:
    assert sum("loopback" in line for line in table("shared")) == 5


def test_a_fresh_machine_with_the_lock_asks_once_for_each_file() -> None:
    (line, *_) = [line for line in table("many_builders") if line.startswith("new machines, --locked")]
    assert line.split()[3:9] == ["3", "12", "0", "1.00", "-", "-"]
