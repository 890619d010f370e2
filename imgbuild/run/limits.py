"""How much is asked of a provider at once: generations in flight, and their rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imgbuild.core.errors import FailureKind
from imgbuild.core.retry import next_limit


class Limiter:
    """Places for generations in flight. Halves when the service says that it is too much, grows by one after.

    `rate` is submissions a second, None for unlimited. A place counts until the result is in.
    """

    def __init__(self, concurrency: int, rate: float | None) -> None:
        self._most = concurrency
        self._allowed = concurrency
        self._in_flight = 0
        self._aside = 0
        self._changed = asyncio.Condition()
        self._interval = 1.0 / rate if rate else 0.0
        self._next = 0.0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one place, as soon as one is free."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight + self._aside < self._allowed)
            self._in_flight += 1
        try:
            yield
        finally:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Let others go first while a refused submission waits to be sent again. Newcomers stay out."""
        async with self._changed:
            self._in_flight -= 1
            self._aside += 1
            self._changed.notify_all()
        try:
            yield
            async with self._changed:
                await self._changed.wait_for(lambda: self._in_flight < self._allowed)
        finally:
            self._aside -= 1
            self._in_flight += 1

    async def pace(self) -> None:
        """Wait until the rate allows one more submission."""
        if self._interval:
            loop = asyncio.get_running_loop()
            due = max(self._next, loop.time())
            self._next = due + self._interval
            await asyncio.sleep(due - loop.time())

    async def learn(self, kind: FailureKind | None) -> None:
        """Adapt to one more outcome; None is a success."""
        before, self._allowed = self._allowed, next_limit(self._allowed, self._most, kind)
        if self._allowed > before:
            async with self._changed:
                self._changed.notify_all()
