"""`imgbuild watch` as a process of its own, in any folder. Everything that it says is kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str = "it") -> Any:
    """Wait for a condition; returns what it gives."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen in {PATIENCE:g} s"
        time.sleep(0.01)
    return found


class WatchSession:
    """A session, read event by event. `around`: a command that starts it."""

    def __init__(
        self, root: Path, environ: Mapping[str, str], *words: str, around: Sequence[str] = ()
    ) -> None:
        self.root = root
        self.events: list[dict[str, Any]] = []
        self._stderr = (root.parent / f"{root.name}.stderr").open("w+")
        self._process = subprocess.Popen(
            [*around, sys.executable, "-m", "imgbuild", "watch", "--output-format", "json", *words],
            cwd=root,
            env=dict(environ),
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

    def summaries(self) -> list[dict[str, Any]]:
        return [event for event in [*self.events] if event["event"] == "summary"]

    def until(self, condition: Callable[[], Any], what: str = "it") -> Any:
        """Wait for a condition, as long as the session lives."""

        def alive() -> Any:
            found = condition()
            assert found or self._process.poll() is None, "it has ended"
            return found

        try:
            return until(alive, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """The exit code, once it has ended."""
        code = self._process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        assert "Traceback" not in self.stderr(), self.stderr()
        return code

    def stop(self) -> int:
        """End it as a user does; returns the exit code."""
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
