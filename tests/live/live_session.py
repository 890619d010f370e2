"""`imgbuild watch --ui` as a process of its own, with its page's address."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str = "it") -> Any:
    """Wait for a condition; returns what it gives."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen in {PATIENCE:g} s"
        time.sleep(0.02)
    return found


@contextmanager
def page_of(url: str, token: str) -> Iterator[httpx.Client]:
    """A browser's requests, of a page that is open: with the session's cookie and the right origin."""
    with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=30) as client:
        client.headers["origin"] = url
        client.post("/session", content=token).raise_for_status()
        yield client


class LiveSession:
    """A session with its page, in a folder. Everything that it says is kept."""

    def __init__(self, root: Path, environ: Mapping[str, str], *words: str) -> None:
        self.root = root
        self.events: list[dict[str, Any]] = []
        self._stderr = (root.parent / f"{root.name}.stderr").open("w+")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "imgbuild",
                "watch",
                "--ui",
                "--port",
                "0",
                "--output-format",
                "json",
                *words,
            ],
            cwd=root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            page = until(lambda: [e for e in self.events if e["event"] == "data"] or self._over(), "the page")
        except AssertionError:
            self.kill()
            raise
        self.address: str = page[0]["value"]["url"]
        """With the token."""
        self.url, _, self.token = self.address.replace("/open#", "#").partition("#")

    def summaries(self) -> list[dict[str, Any]]:
        return [event for event in [*self.events] if event["event"] == "summary"]

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """The requests of a page that is open."""
        with page_of(self.url, self.token) as client:
            yield client

    def stop(self) -> int:
        """End it as a user does; returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(timeout=PATIENCE)
        assert "Traceback" not in self.stderr(), self.stderr()
        return code

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stderr.close()

    def stderr(self) -> str:
        return Path(self._stderr.name).read_text()

    def _over(self) -> None:
        assert self._process.poll() is None, self.stderr()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append(json.loads(line))
