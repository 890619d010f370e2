"""A project that is watched, round by round."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from project_folder import ProjectFolder
from watch_session import WatchSession

FULL = bool(os.environ.get("IMGBUILD_TESTS_FULL"))
in_full = pytest.mark.skipif(not FULL, reason="only with IMGBUILD_TESTS_FULL=1")


class Watching(WatchSession):
    """A session in a project folder."""

    def __init__(
        self, project: ProjectFolder, *words: str, around: Sequence[str] = (), **environ: str
    ) -> None:
        super().__init__(project.root, {**project.environ, **environ}, *words, around=around)
        self.project = project
        self._seen = 0

    def errors(self) -> list[str]:
        return [event["message"] for event in self.events if event["event"] == "error"]

    def warnings(self) -> list[str]:
        return [event["message"] for event in self.events if event["event"] == "warning"]

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
            now = (_ticks(self.pid), len(self.events))
            if now != before:
                before, since = now, time.monotonic()
            return time.monotonic() - since > 0.4

        self.until(is_calm, "calm")


def _ticks(pid: int) -> int:
    """What the process has used of processors, in ticks of the kernel."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
