"""Real programs: where they are, what they print, folders served over HTTP, and a real browser."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pyvips
from project_folder import ProjectFolder

full_only = pytest.mark.skipif(
    "IMGBUILD_TESTS_FULL" not in os.environ, reason="a large installation: only with --full"
)


def tool(name: str, package: str | None = None) -> str:
    """Where a program is; without it the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package {package or name})")
    return found


def succeed(*command: str, folder: Path, environ: dict[str, str] | None = None) -> str:
    """Run a tool that must end well; what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def npm_run(project: ProjectFolder, script: str) -> None:
    """A script of the project's package.json, as its author runs it: with imgbuild on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), project.environ["PATH"]])
    environ = {**project.environ, "PATH": path}
    succeed(tool("npm"), "run", "--silent", script, folder=project.root, environ=environ)


def paint(project: ProjectFolder) -> None:
    """Let a program draw the example's sprites, with transparent borders, instead of placeholder cards."""
    project.write("painter.py", (Path(__file__).parent / "painter.py").read_bytes())
    command = json.dumps([sys.executable, "painter.py"])
    painter = (
        f"providers: {{painter: {{type: command, command: {command}}}}}\ndefaults: {{provider: painter}}\n"
    )
    project.edit("version: 1\n", f"version: 1\n{painter}")
    project.environ["IMGBUILD_TRUSTED_ORIGINS"] = "painter"


def picture(address: str) -> pyvips.Image:
    """The picture in a data URI."""
    return pyvips.Image.new_from_buffer(base64.b64decode(address.partition(",")[2]), "")


def shows(drawn: pyvips.Image, sprite: bytes, left: int, top: int) -> bool:
    """Whether a picture has a sprite's visible pixels at this place, but for what rounding does to them."""
    own = pyvips.Image.new_from_buffer(sprite, "")
    there = drawn.crop(left, top, own.width, own.height)
    visible = own[3] == 255 if own.hasalpha() else 255
    return bool(((there[0:3] - own[0:3]).abs() & visible).max() <= 2)


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".avif": "image/avif",
        ".webp": "image/webp",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the browser reports what failed."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Visit:
    """What a page told."""

    report: Any
    problems: list[str]
    """Errors on the console, exceptions, failed requests and answers of 400 and above."""
    printed: list[str]


@dataclass(frozen=True)
class Browser:
    """Headless Chromium, a new one with a new profile for each visit."""

    program: str
    driver: Path

    def visit(
        self,
        url: str,
        *,
        report: str = "null",
        until: str = "true",
        hold: str | None = None,
        size: tuple[int, int] = (1280, 800),
        shot: Path | None = None,
    ) -> Visit:
        """Open a page, wait `until` an expression is true, and bring the value of `report` back.

        Requests whose address matches `hold` are answered only after the page's first paint.
        """
        wishes = {"url": url, "browser": self.program, "width": size[0], "height": size[1], "until": until}
        wishes |= {"report": report, "hold": hold, "shot": None if shot is None else str(shot)}
        done = subprocess.run(
            [tool("node", "nodejs"), "visit.js"],
            cwd=self.driver,
            input=json.dumps(wishes),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return Visit(**json.loads(done.stdout))
