"""Ending early: saying what is still waited for, and what is left behind."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from imgbuild.core.events import Emit, StoppingEvent, WarningEvent
from imgbuild.run.interruption import Interruption
from imgbuild.run.worker import Worker

_LOOK_SECONDS = 0.1


@contextmanager
def ending(interruption: Interruption, worker: Worker, emit: Emit) -> Iterator[None]:
    """While a build runs: once the user wants to end, tell what that means, until it has ended."""
    telling = asyncio.ensure_future(_tell(interruption, worker, emit))
    try:
        yield
    finally:
        telling.cancel()
        if interruption.requested:
            for sentence in left_behind(worker):
                emit(WarningEvent(sentence))


def left_behind(worker: Worker) -> Iterator[str]:
    """What a build that stops now leaves to the next one, in sentences."""
    recorded = sorted(set(worker.recorded.values()))
    if recorded:
        yield f"in flight, and gone on with by the next build: {', '.join(recorded)}"
    paying = sorted({image_id for image_id, _ in worker.paying.values()})
    if paying:
        yield (
            f"unknown, since no answer came yet: {', '.join(paying)}; may have been charged, "
            "and --retry-ambiguous submits it again"
        )


async def _tell(interruption: Interruption, worker: Worker, emit: Emit) -> None:
    """Say whom the end waits for, at first and whenever there are fewer."""
    await interruption.wait()
    loop = asyncio.get_running_loop()
    said: tuple[str, ...] = ()
    while True:
        waiting = tuple(sorted({image_id for image_id, _ in worker.paying.values()}))
        if waiting and waiting != said:
            latest = max(end for _, end in worker.paying.values())
            emit(StoppingEvent(waiting, float(max(1, math.ceil(latest - loop.time())))))
            said = waiting
        await asyncio.sleep(_LOOK_SECONDS)
