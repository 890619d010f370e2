"""A question to the user that waits for its answer while everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Question:
    """Asked until it is answered or withdrawn. `act` is called with the answer, when somebody takes it."""

    def __init__(
        self,
        asking: Coroutine[Any, Any, bool],
        act: Callable[[bool], None],
        on_answer: Callable[[], None],
    ) -> None:
        self._act = act
        self._task = asyncio.ensure_future(asking)
        self._task.add_done_callback(lambda _: on_answer())

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer to take."""
        return self._task.done()

    def take(self) -> None:
        """Act on the answer."""
        self._act(self._task.result())

    def withdraw(self) -> None:
        """What it is about has changed."""
        self._task.cancel()
