"""The checks before a release: which versions are the oldest ones, and what an audit's answer means."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from supply_chain import lower_bounds, told

ROOT = Path(__file__).parents[2]

SKIPPED = {"name": "y", "skip_reason": "not found"}
SOUND = {"name": "x", "version": "3", "vulns": []}
WEAK = {"name": "z", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}


def test_every_dependency_of_a_user_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = lower_bounds()
    assert len(bounds) >= len(project["dependencies"])
    assert all(line.count("==") == 1 and ">" not in line for line in bounds)


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND], 0, "1 packages looked at, 0 with"),
        ([SOUND, SKIPPED], 0, "nothing could be learned of ['y']"),
        ([SOUND, WEAK], 1, "z 1: CVE-1, mended in ['2']"),
        ([SKIPPED], 0, "not done"),
        ([], 0, "not done"),
    ],
)
def test_only_a_known_weakness_fails_an_audit(
    capsys: pytest.CaptureFixture[str], packages: list[object], code: int, said: str
) -> None:
    assert told(json.dumps({"dependencies": packages})) == code
    assert said in capsys.readouterr().out


def test_an_audit_without_an_answer_says_so_and_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert told("") == 0
    assert "not done" in capsys.readouterr().out
