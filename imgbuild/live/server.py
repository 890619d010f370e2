"""A session with its page: both on one event loop, for as long as the user wants.

Importing this module needs no optional dependency; its function says how to install what it lacks.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from imgbuild.core.errors import UsageError
from imgbuild.core.events import WarningEvent
from imgbuild.run.interruption import Interruption
from imgbuild.run.listening import listen
from imgbuild.run.loop import run_loop
from imgbuild.run.watching.audience import Audience, WatchOptions
from imgbuild.run.workspace import Invocation

HOST = "127.0.0.1"
_EXTRA = ("starlette", "uvicorn")
_GRACE = 1
"""Seconds that a request in progress gets to finish when the session ends."""

OnReady = Callable[[str, str], None]
"""Called with the page's address, for as often as wanted, and with one that can be opened once."""


def run_live(
    invocation: Invocation,
    options: WatchOptions,
    audience: Audience,
    interruption: Interruption,
    port: int,
    on_ready: OnReady,
) -> None:
    """Watch as `run_watch` does, with a page beside the terminal.

    Raises:
        UsageError: the port cannot be had, or the extra is not installed; or as `run_watch` does.
        KeyboardInterrupt, StorageError: as `run_watch` does.
    """
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--ui needs {' and '.join(missing)}, not installed here", remedy='pip install "imgbuild[ui]"'
        )
    interruption.expect()
    with listen(HOST, port) as listener, suppress(asyncio.CancelledError):
        run_loop(lambda: _serve(invocation, options, audience, interruption, listener, on_ready))
    raise KeyboardInterrupt


async def _serve(
    invocation: Invocation,
    options: WatchOptions,
    audience: Audience,
    interruption: Interruption,
    listener: socket.socket,
    on_ready: OnReady,
) -> None:
    import uvicorn

    from imgbuild.live.actions import Actions
    from imgbuild.live.app import create_app
    from imgbuild.live.audience import PageAudience
    from imgbuild.live.board import Board
    from imgbuild.live.state import SessionState
    from imgbuild.live.view import View
    from imgbuild.run.watching.session import Session

    class Server(uvicorn.Server):
        """Signals are the session's."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    board, state = Board(), SessionState(placeholder=invocation.placeholder)
    view = View(invocation, board, lambda words: page.hear(WarningEvent(words)))
    page = PageAudience(audience, state, board, view.want)
    session = Session(invocation, options, page, interruption)
    actions = Actions(invocation, state, page, board, view, session)
    board.hang("session", lambda: state.data(session.purse))
    board.touch("session")
    host = f"{HOST}:{listener.getsockname()[1]}"
    guard = create_app(invocation.root.name, board, view, page, actions, host)
    server = Server(
        uvicorn.Config(
            guard,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    beside = [asyncio.ensure_future(server.serve(sockets=[listener])), asyncio.ensure_future(view.follow())]
    asked = asyncio.ensure_future(interruption.wait())
    asked.add_done_callback(lambda one: None if one.cancelled() else actions.stop())
    on_ready(f"http://{host}/open#{guard.token}", f"http://{host}/open#{guard.once}")
    try:
        await session.run()
        with interruption.attached():
            await actions.finish()
    except asyncio.CancelledError:
        actions.stop()
        raise
    finally:
        asked.cancel()
        actions.stop()
        await actions.finish()
        board.close()
        server.should_exit = True
        beside[1].cancel()
        for end in await asyncio.gather(*beside, return_exceptions=True):
            if isinstance(end, Exception):
                # A bug of the page ends no session, and is not hidden by its end.
                raise end
