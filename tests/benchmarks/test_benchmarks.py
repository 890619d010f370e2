"""The benchmarks run, and every table says what it is held to. What they find is for a quiet machine to say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.table import Table, ratio

ROOT = Path(__file__).parents[2]
BARE = {"PATH": "/nowhere", "HOME": os.environ.get("HOME", "")}
"""No peers: what is not installed must not stop a benchmark."""


def benchmarks(*words: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env=environ or {**os.environ},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["version", "plan", "save"])
def test_a_small_run_prints_a_table_with_its_budget_and_judges_nothing(name: str) -> None:
    done = benchmarks(name, "--small")
    assert done.returncode == 0, done.stderr
    assert "budget: " in done.stdout
    assert "not judged" in done.stdout


def test_a_plan_after_an_edit_is_measured_beside_one_that_remembers_nothing() -> None:
    done = benchmarks("edit", "--small")
    assert done.returncode == 0, done.stderr
    assert "one entry edited" in done.stdout


def test_a_null_build_is_measured_without_any_peer_too() -> None:
    done = benchmarks("null_build", "--small", environ=BARE)
    assert done.returncode == 0, done.stderr
    assert "imgbuild build" in done.stdout
    assert "Not installed" in done.stdout
    assert "ninja, make, doit, snakemake, dvc" in done.stdout


def test_a_name_that_is_no_benchmark_is_refused_with_those_that_there_are() -> None:
    done = benchmarks("nul_build")
    assert done.returncode == 2
    assert "there is no benchmark nul_build" in done.stderr
    assert "null_build" in done.stderr


def test_small_runs_are_never_written_into_the_results() -> None:
    done = benchmarks("version", "--small", "--write")
    assert done.returncode == 2
    assert "leave out --small or --write" in done.stderr


def test_every_benchmark_that_is_named_exists() -> None:
    for name in BENCHMARKS:
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_numbers_stand_to_the_right_in_text_and_on_the_page() -> None:
    table = Table(
        "Speed",
        ("tool", "wall s", "x ninja"),
        (("ninja", "0.04", ratio(1.0)), ("doit", "10.5", ratio(262.5))),
        budget="at most 1.5x",
        met=False,
        notes=("On a quiet machine.",),
    )
    assert table.text().splitlines()[2:6] == [
        "tool   wall s  x ninja",
        "-----  ------  -------",
        "ninja    0.04    1.00x",
        "doit     10.5     262x",
    ]
    assert "budget: at most 1.5x: missed" in table.text()
    assert "|---|---:|---:|" in table.markdown()
    assert "| doit | 10.5 | 262x |" in table.markdown()
    assert "**missed**" in table.markdown()
