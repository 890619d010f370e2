"""Trying again: as long as a failure's kind allows it, never earlier than asked, with jitter."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.retry import GiveUp, decide
from imgbuild.run.connections import Connection
from imgbuild.run.interruption import Interruption

T = TypeVar("T")


async def patiently(
    operation: Callable[[], Awaitable[T]],
    connection: Connection,
    interruption: Interruption | None,
    on_wait: Callable[[ProviderFailure, float], None],
    attempts: int | None = None,
    aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> T:
    """The operation's result, after as many tries as its failures deserve.

    `on_wait` hears of every failure that is waited out, with the seconds, which the user may cut short
    through `interruption`. `attempts` replaces the number of tries. `aside` surrounds each wait.

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
                await connection.limiter.learn(failure.kind)
            elapsed, deadline = loop.time() - began, connection.settings.deadline
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
            on_wait(failure, step.seconds)
            async with aside():
                await (interruption.sleep(step.seconds) if interruption else asyncio.sleep(step.seconds))
