"""Who else is just changing a project's files: half of what they do is nothing to build from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgbuild.run.interruption import Interruption
from imgbuild.run.watching.git import git_lock, is_held

_LOOK = 0.05
"""Seconds between two looks whether they are done."""


class Others:
    """Git, and commands that are carried out beside a session."""

    def __init__(self, root: Path) -> None:
        self._git_lock = git_lock(root)
        self._commands = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Within, a command writes files and then the lock: the session plans when both are there."""
        self._commands += 1
        try:
            yield
        finally:
            self._commands -= 1

    async def done(self, interruption: Interruption) -> None:
        """Wait until nobody is at work. Raises Stopped when the user asks to end."""
        while self._commands or (self._git_lock is not None and is_held(self._git_lock)):
            await interruption.sleep(_LOOK)
