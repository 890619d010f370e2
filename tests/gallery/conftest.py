"""Chromium for the pages: driven by Playwright's core, with axe-core to judge what it shows."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from looking import Look, Seen
from npm_packages import NotHereError, install_packages, program


@pytest.fixture(scope="session")
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    """Visits pages, all with one browser."""
    driver = tmp_path_factory.mktemp("browser") / "driver"
    shutil.copytree(Path(__file__).parent / "browser", driver, ignore=shutil.ignore_patterns("node_modules"))
    try:
        node, chromium = program("node"), program("chromium")
        install_packages(driver)
    except NotHereError as missing:
        pytest.skip(str(missing))

    def visit(visits: Sequence[Mapping[str, Any]]) -> list[Seen]:
        asked = json.dumps({"browser": chromium, "visits": list(visits)})
        done = subprocess.run(
            [node, "look.mjs"], cwd=driver, input=asked, capture_output=True, text=True, timeout=110
        )
        assert done.returncode == 0, done.stderr
        return [Seen(**one) for one in json.loads(done.stdout)]

    return visit
