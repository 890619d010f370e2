"""A page in a real browser, driven step by step from a test."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from npm_packages import install_packages, program

HERE = Path(__file__).parent
_PACKAGES = HERE.parent / "gallery" / "browser" / "package.json"


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
        NotHereError: a program or the registry is missing.
    """
    node, chromium = program("node"), program("chromium")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_PACKAGES, folder)
    shutil.copy(HERE / "browser" / "drive.mjs", folder)
    install_packages(folder)
    process = subprocess.Popen(
        [node, "drive.mjs", chromium, str(folder / "node_modules")],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Browser(process)
        assert process.stdin is not None
        process.stdin.close()
