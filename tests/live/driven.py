"""A page in a real browser, driven step by step from a test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_PACKAGES = HERE.parent / "gallery" / "browser" / "package.json"
_OFFLINE = ("EAI_AGAIN", "ENOTFOUND", "ENETUNREACH", "ECONNREFUSED")


class NoBrowserError(Exception):
    """There is no browser here to drive; says why."""


class Browser:
    """One page, driven by Playwright's core: every call waits for its answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, what: str, *words: Any) -> Any:
        """A method of the page, or one of the driver's own words; returns what it gives."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, *words]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, f"{what} {words}: {answer['error']}\n{self._problems()}"
        return answer["found"]

    def click(self, selector: str) -> None:
        self.do("click", selector)

    def text(self, selector: str) -> str:
        found: str = self.do("innerText", selector)
        return found

    def until(self, expression: str) -> None:
        """Wait until it comes true."""
        self.do("until", expression)

    def report(self, expression: str) -> Any:
        return self.do("report", expression)

    def violations(self) -> list[str]:
        """What axe-core finds, by impact and rule."""
        found: list[str] = self.do("axe")
        return found

    def _problems(self) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write('["problems"]\n')
        self._process.stdin.flush()
        return self._process.stdout.readline()


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty page. `folder`: where its driver is put.

    Raises:
        NoBrowserError: a program or the registry is missing.
    """
    programs = {name: shutil.which(name) for name in ("node", "npm", "chromium")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        raise NoBrowserError(f"{', '.join(missing)}: not installed")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_PACKAGES, folder)
    shutil.copy(HERE / "browser" / "drive.mjs", folder)
    words = [
        "install",
        "--prefer-offline",
        "--ignore-scripts",
        "--no-package-lock",
        "--no-audit",
        "--no-fund",
    ]
    done = subprocess.run(
        [str(programs["npm"]), *words, "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    if any(word in done.stderr for word in _OFFLINE) and os.environ.get("CI") != "true":
        raise NoBrowserError("npm's registry is out of reach")
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(
        [str(programs["node"]), "drive.mjs", str(programs["chromium"]), str(folder / "node_modules")],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Browser(process)
        assert process.stdin is not None
        process.stdin.close()
