"""Threads for pictures, and for files that wait for the disk: a few for each kind of work, of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OwnThreads:
    """A few threads of their own, which go with this object.

    libvips uses one thread a picture. What a thread had to allocate for its largest picture stays with it:
    spread over all threads that wait for disks, pictures would take several times the memory.
    """

    def __init__(self, name: str, count: int | None = None) -> None:
        self.count = count or os.cpu_count() or 2
        self._pool = ThreadPoolExecutor(self.count, name)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, as soon as a thread is free for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(*args, **kwargs))
