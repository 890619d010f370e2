"""What ordinary servers do not do: hang up without an answer, never answer, cut a body short."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 600.0
"""Seconds after which a connection that is never answered is closed."""


class HangUpProtocol(H11Protocol):
    """HTTP/1.1 that lets a response close its connection, which ASGI has no word for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the way to hang up where the responses of this connection find it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "hang_up": transport.close}


class NoAnswer(Response):
    """Closes the connection without a word."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hang up."""
        await _hang_up(scope, receive)


class Silence(Response):
    """Says nothing until the client gives up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the client to leave."""
        try:
            async with asyncio.timeout(PATIENCE):
                await _disconnected(receive)
        except TimeoutError:
            await _hang_up(scope, receive)


class CutShort(Response):
    """Announces its whole body, sends half of it, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half, then hang up."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await _hang_up(scope, receive)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    scope["state"]["hang_up"]()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
