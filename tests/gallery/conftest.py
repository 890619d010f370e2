"""Chromium for the pages: driven by Playwright's core, with axe-core to judge what it shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from looking import Look, Seen

_OFFLINE = ("EAI_AGAIN", "ENOTFOUND", "ENETUNREACH", "ECONNREFUSED")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="session")
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    """Visits pages, all with one browser."""
    node, npm, chromium = _program("node"), _program("npm"), _program("chromium")
    driver = tmp_path_factory.mktemp("browser") / "driver"
    shutil.copytree(Path(__file__).parent / "browser", driver, ignore=shutil.ignore_patterns("node_modules"))
    words = [
        "install",
        "--prefer-offline",
        "--ignore-scripts",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
    ]
    done = subprocess.run(
        [npm, *words, "--loglevel=error"], cwd=driver, capture_output=True, text=True, timeout=100
    )
    if any(word in done.stderr for word in _OFFLINE) and os.environ.get("CI") != "true":
        pytest.skip("npm's registry is out of reach")
    assert done.returncode == 0, done.stderr

    def visit(visits: Sequence[Mapping[str, Any]]) -> list[Seen]:
        asked = json.dumps({"browser": chromium, "visits": list(visits)})
        done = subprocess.run(
            [node, "look.mjs"], cwd=driver, input=asked, capture_output=True, text=True, timeout=110
        )
        assert done.returncode == 0, done.stderr
        return [Seen(**one) for one in json.loads(done.stdout)]

    return visit
