"""Every parser of foreign bytes with a few hundred broken inputs; the long run is `python -m tests.attacks.fuzz`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import Target, targets
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
FOUND = Path(__file__).parent / "found"
"""What the long runs have found, each in a folder named for its parser."""


@pytest.fixture(scope="module")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return {target.name: target for target in targets(tmp_path_factory.mktemp("fuzz"))}


@pytest.mark.parametrize(
    "path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_what_was_found_once_stays_away(parsers: dict[str, Target], path: Path) -> None:
    parsers[path.parent.name].try_one(path.read_bytes())


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.attacks.fuzz", "--inputs", "200", "--keep", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(parsers: dict[str, Target], data: bytes) -> None:
    for name, target in parsers.items():
        if name != "provenance":
            target.try_one(data)
