"""`imgbuild watch` as a process of its own, read event by event."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from project_folder import ProjectFolder

PATIENCE = 30.0
FULL = bool(os.environ.get("IMGBUILD_TESTS_FULL"))
in_full = pytest.mark.skipif(not FULL, reason="only with IMGBUILD_TESTS_FULL=1")


def until(condition: Callable[[], Any], what: str = "it") -> Any:
    """Wait for a condition; returns what it gives."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen in {PATIENCE:g} s"
        time.sleep(0.01)
    return found


class Watching:
    """A session in a project folder. Everything that it says is kept. `around`: a command that starts it."""

    def __init__(
        self, project: ProjectFolder, *words: str, around: Sequence[str] = (), **environ: str
    ) -> None:
        self.project = project
        self.events: list[dict[str, Any]] = []
        self._seen = 0
        self._stderr = (project.root.parent / f"{project.root.name}.stderr").open("w+")
        self._process = subprocess.Popen(
            [*around, sys.executable, "-m", "imgbuild", "watch", "--output-format", "json", *words],
            cwd=project.root,
            env={**project.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def errors(self) -> list[str]:
        return [event["message"] for event in self.events if event["event"] == "error"]

    def warnings(self) -> list[str]:
        return [event["message"] for event in self.events if event["event"] == "warning"]

    def summaries(self) -> list[dict[str, Any]]:
        return [event for event in [*self.events] if event["event"] == "summary"]

    def until(self, condition: Callable[[], Any], what: str = "it") -> Any:
        def alive() -> Any:
            found = condition()
            assert found or self._process.poll() is None, self.said()
            return found

        try:
            return until(alive, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from None

    def round(self) -> dict[str, Any]:
        """The next summary that was not looked at yet: what was done, not counting what stayed as it was."""
        self.until(lambda: len(self.summaries()) > self._seen, f"round {self._seen + 1}")
        summary = self.summaries()[self._seen]
        self._seen += 1
        names = ("generated", "derived", "restored", "conflicts", "failed", "submitted", "resumed")
        return {name: summary[name] for name in names if summary[name]}

    def skip(self) -> None:
        """Look at no round that was told until now."""
        self._seen = len(self.summaries())

    def calm(self) -> None:
        """Wait until the session uses no processor and tells nothing any more."""
        before, since = (-1, -1), time.monotonic()

        def is_calm() -> bool:
            nonlocal before, since
            now = (_ticks(self._process.pid), len(self.events))
            if now != before:
                before, since = now, time.monotonic()
            return time.monotonic() - since > 0.4

        self.until(is_calm, "calm")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """The exit code, once it has ended."""
        code = self._process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        assert "Traceback" not in self.stderr(), self.stderr()
        return code

    def stop(self) -> int:
        """End it as a user does."""
        self.signal(signal.SIGINT)
        return self.ended()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stderr.close()

    def stderr(self) -> str:
        return Path(self._stderr.name).read_text()

    def said(self) -> str:
        return "\n".join([*map(json.dumps, self.events[-40:]), self.stderr()])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append(json.loads(line))


def _ticks(pid: int) -> int:
    """What the process has used of processors, in ticks of the kernel."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
