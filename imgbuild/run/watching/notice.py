"""Being told by the system that something happened in a folder: what it was is for others to find out."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Collection
from contextlib import suppress

from watchfiles import awatch

_QUIET, _MOST = 30, 200
"""Milliseconds: what has to pass without another event, and what passes at most in a stream of them.

The first is a step: the wait is once or twice as long, about 50 ms."""
_LOOK = 0.3
"""Seconds between two looks where the system tells nothing."""


class Notice:
    """Follows folders, not what lies below them. `tell` is called on the event loop."""

    def __init__(self, tell: Callable[[], None], on_polling: Callable[[str], None]) -> None:
        self._tell = tell
        self._on_polling = on_polling
        self._folders: frozenset[tuple[str, int]] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self._is_told = _is_told()

    async def follow(self, folders: Collection[str]) -> None:
        """Follow these folders and no others. What happened just before has to be looked for once more.

        A folder that was removed and made again is another one.
        """
        now = frozenset(zip(folders, map(_inode, folders), strict=True))
        if now == self._folders and self._task is not None and not self._task.done():
            return
        await self.aclose()
        self._folders = now
        self._task = asyncio.create_task(self._listen(sorted(folder for folder, inode in now if inode)))
        # The task comes as far as to where it waits for events: from here on none is missed.
        await asyncio.sleep(0)
        self._tell()

    async def aclose(self) -> None:
        """Follow nothing any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _listen(self, folders: list[str]) -> None:
        try:
            if self._is_told:
                await self._hear(folders)
        except FileNotFoundError:
            # A folder has gone in the same moment: `follow` is called again, with those that there are.
            self._tell()
            return
        except (OSError, RuntimeError) as error:
            # Most often the system's limit of watched folders (on Linux fs.inotify.max_user_watches).
            self._is_told = False
            self._on_polling(str(error).partition(" about ")[0].rstrip("."))
        if not self._is_told:
            await self._look()

    async def _hear(self, folders: list[str]) -> None:
        events = awatch(
            *folders,
            watch_filter=None,
            debounce=_MOST,
            step=_QUIET,
            recursive=False,
            force_polling=False,
        )
        async for _ in events:
            self._tell()

    async def _look(self) -> None:
        # Not as watchfiles does it, which compares times in whole seconds and misses the second of two saves.
        delay = os.environ.get("WATCHFILES_POLL_DELAY_MS", "")
        while True:
            await asyncio.sleep(int(delay) / 1000 if delay.isdecimal() else _LOOK)
            self._tell()


def _is_told() -> bool:
    """Whether the system tells of changes: by watchfiles' variable, or its rule (not in WSL)."""
    forced = os.environ.get("WATCHFILES_FORCE_POLLING")
    if forced:
        return forced.lower() in ("false", "disable", "disabled")
    return "microsoft-standard" not in platform.uname().release.lower()


def _inode(folder: str) -> int:
    try:
        return os.stat(folder).st_ino  # noqa: PTH116 - the path is text everywhere here
    except OSError:
        return 0
