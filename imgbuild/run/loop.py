"""The event loop, where the system may refuse even the descriptors that it is made of."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run what `main` gives on a new event loop, to its end.

    Raises OSError where there are no descriptors for a loop, and whatever `main` raises.
    """
    # Asked for here first: a loop that gets only some of them complains on standard error as it goes.
    with selectors.DefaultSelector():
        for end in socket.socketpair():
            end.close()
    return asyncio.run(main())
