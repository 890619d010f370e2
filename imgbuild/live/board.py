"""What every open page is told: topics, of which only the latest state counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from imgbuild.core.image import Json

_PAUSE = 0.08
"""Seconds between two messages to a page, at least: what changes in between is told once."""
_SILENCE = 15.0
"""Seconds after which a page is told that there is nothing to tell, so that a lost connection is noticed."""


class Board:
    """Topics by name, each with a function that gives its state. To be used on the event loop."""

    def __init__(self) -> None:
        self._states: dict[str, Callable[[], Json]] = {}
        self._versions: dict[str, int] = {}
        self._texts: dict[str, tuple[int, str]] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def hang(self, topic: str, state: Callable[[], Json]) -> None:
        """Have a topic, whose state is asked for whenever somebody has to be told."""
        self._states[topic] = state

    def touch(self, topic: str) -> None:
        """A topic's state is another one."""
        self._versions[topic] = self._versions.get(topic, 0) + 1
        self._wake()

    def close(self) -> None:
        """Let go of all who follow."""
        self._closed = True
        self._wake()

    async def follow(self) -> AsyncIterator[str]:
        """Server-sent events: each topic as it is, and again whenever it was touched."""
        told: dict[str, int] = {}
        while not self._closed:
            changed = self._changed
            newer = {topic: at for topic, at in self._versions.items() if told.get(topic, 0) < at}
            for topic in newer:
                yield f"event: {topic}\ndata: {self._text(topic)}\n\n"
            told |= newer
            if newer:
                await asyncio.sleep(_PAUSE)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _SILENCE)
                continue
            yield ": still here\n\n"

    def _text(self, topic: str) -> str:
        version = self._versions[topic]
        kept = self._texts.get(topic)
        if kept is None or kept[0] != version:
            kept = version, json.dumps(self._states[topic](), separators=(",", ":"), allow_nan=False)
            self._texts[topic] = kept
        return kept[1]

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
