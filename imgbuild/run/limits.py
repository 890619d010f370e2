"""How much is asked of a provider at once: who comes next, generations in flight, and their rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count

from imgbuild.core.errors import FailureKind
from imgbuild.core.retry import next_limit

CONCURRENCY = 8
"""Generations in flight at one provider, where neither the manifest nor the place of work says."""
AHEAD = 8
"""Images beyond the generations in flight that are open at least: the next are made ready to be sent at once,
and the last are checked and recorded."""


class Turns:
    """So many at a time: the highest rank first, and among equals who came first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._order = count()
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, rank: int = 0) -> AsyncIterator[None]:
        """Hold one place, as soon as it is one's turn."""
        await self.take(rank)
        try:
            yield
        finally:
            self.leave()

    async def take(self, rank: int = 0) -> None:
        """Wait for a place; whoever has it owes a `leave`."""
        waiting = asyncio.get_running_loop().create_future()
        heappush(self._queue, (-rank, next(self._order), waiting))
        self._call()
        try:
            await waiting
        except asyncio.CancelledError:
            if not waiting.cancelled():
                # Called at the very moment of giving up.
                self.leave()
            raise

    def take_anyway(self) -> None:
        """Have a place although none is free."""
        self._taken += 1

    def leave(self) -> None:
        """Let the next one have the place."""
        self._taken -= 1
        self._call()

    def resize(self, most: int) -> None:
        """Allow another number from now on; who has a place keeps it."""
        self._most = most
        self._call()

    def _call(self) -> None:
        while self._queue and self._taken < self._most:
            _, _, waiting = heappop(self._queue)
            if not waiting.done():
                self._taken += 1
                waiting.set_result(None)


class Limiter:
    """Places for generations in flight. Halves when the service says that it is too much, grows by one after.

    `rate` is submissions a second, None for unlimited. A place counts until the result is in.
    """

    def __init__(self, concurrency: int, rate: float | None) -> None:
        self._most = concurrency
        self._allowed = concurrency
        self._admitted = Turns(concurrency)
        self._in_flight = Turns(concurrency)
        self._interval = _interval(rate)
        self._next = 0.0
        self.ready = Turns(_ready(concurrency))
        """For images that are being paid for or are next to be: who has no turn here has nothing open."""

    def adjust(self, concurrency: int, rate: float | None) -> None:
        """Go by other numbers from now on, if they are others; what is in flight counts on."""
        self._interval = _interval(rate)
        if concurrency != self._most:
            self._most = concurrency
            self._allow(concurrency)
            self.ready.resize(_ready(concurrency))

    @asynccontextmanager
    async def place(self, rank: int = 0) -> AsyncIterator[None]:
        """Hold one place, as soon as one is free."""
        async with self._admitted.turn(rank), self._in_flight.turn():
            yield

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Let others go first while a refused submission waits to be sent again. Newcomers stay out."""
        self._in_flight.leave()
        try:
            yield
            await self._in_flight.take()
        except BaseException:
            # Who gives up leaves the place for good just after this, and cannot wait for it first.
            self._in_flight.take_anyway()
            raise

    async def pace(self) -> None:
        """Wait until the rate allows one more submission."""
        if self._interval:
            loop = asyncio.get_running_loop()
            due = max(self._next, loop.time())
            self._next = due + self._interval
            await asyncio.sleep(due - loop.time())

    def learn(self, kind: FailureKind | None) -> None:
        """Adapt to one more outcome; None is a success."""
        allowed = next_limit(self._allowed, self._most, kind)
        if allowed != self._allowed:
            self._allow(allowed)

    def _allow(self, allowed: int) -> None:
        self._allowed = allowed
        self._admitted.resize(allowed)
        self._in_flight.resize(allowed)


def _interval(rate: float | None) -> float:
    return 1.0 / rate if rate else 0.0


def _ready(concurrency: int) -> int:
    return concurrency + max(concurrency, AHEAD)
