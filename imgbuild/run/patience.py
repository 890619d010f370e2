"""Trying again: as long as a failure's kind allows it, never earlier than asked, with jitter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.retry import GiveUp, decide
from imgbuild.run.connections import Connection
from imgbuild.run.interruption import Interruption

POLLS = 1_000_000
"""A paid task is asked for until its deadline, however often the service breaks down meanwhile."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """With one provider, for one job."""

    connection: Connection
    interruption: Interruption | None
    """How the user may cut the waiting short; None: not at all."""
    on_wait: Callable[[ProviderFailure, float], None]
    """Hears of every failure that is waited out, with the seconds."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.connection.settings.name

    async def try_(
        self,
        operation: Callable[[], Awaitable[T]],
        attempts: int | None = None,
        aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> T:
        """The operation's result, after as many tries as its failures deserve.

        `attempts` replaces the number of tries. `aside` surrounds each wait.

        Raises:
            ProviderFailure: the last one.
            Stopped: the user wants to end.
        """
        loop = asyncio.get_running_loop()
        began, attempt = loop.time(), 0
        while True:
            try:
                return await operation()
            except ProviderFailure as failure:
                attempt += 1
                if failure.kind is FailureKind.RATE_LIMITED:
                    self.connection.limiter.learn(failure.kind)
                elapsed, deadline = loop.time() - began, self.connection.settings.deadline
                step = decide(
                    failure.kind,
                    attempt,
                    failure.retry_after,
                    random.random(),
                    elapsed,
                    deadline,
                    attempts=attempts,
                )
                if isinstance(step, GiveUp):
                    raise
                self.on_wait(failure, step.seconds)
                async with aside():
                    if self.interruption:
                        await self.interruption.sleep(step.seconds)
                    else:
                        await asyncio.sleep(step.seconds)
