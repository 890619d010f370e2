"""Waiting for a task's end: it is asked for as soon as it may be done, and not much more often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.polling import Experience, first_wait, next_wait
from imgbuild.providers.base import Finished, Pending, ProviderSettings


async def see_end(
    answer: Pending | Finished,
    poll: Callable[[str], Awaitable[Pending | Finished]],
    on_running: Callable[[Pending], None],
    settings: ProviderSettings,
    experience: Experience,
    submitted: float | None,
) -> Finished:
    """What a task gives in the end; `answer` is what the service said last.

    `submitted` is when that was, on the loop's clock; None for a task of an earlier build, which may be
    done already. `on_running` hears of every answer that is not the end.

    Raises:
        ProviderFailure: as `poll` does; or the provider's deadline has passed.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    end = began + settings.deadline
    interval, current, task = settings.poll_interval, answer, answer.task_id
    running: float | None = None
    wait = 0.0 if submitted is None else first_wait(interval, experience.soonest(), random.random())
    while isinstance(current, Pending):
        on_running(current)
        if loop.time() >= end:
            raise ProviderFailure(
                FailureKind.EXPIRED,
                f"task {task} did not end within {settings.deadline:g} s; last status: {current.status}",
                remedy="raise the provider's deadline",
            )
        due = min(loop.time() + wait, end)
        await asyncio.sleep(due - loop.time())
        late = loop.time() - due
        current = await poll(current.task_id)
        age = loop.time() - (began if submitted is None else submitted)
        if isinstance(current, Pending):
            running = age
            wait = next_wait(interval, age, late, random.random())
        elif submitted is not None:
            experience.learn(running, age)
    return current if current.task_id else replace(current, task_id=task)
