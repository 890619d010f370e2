"""HTTP clients that share one service's requests, so that many connections cost no more than a few."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from imgbuild import __version__

CONNECT_TIMEOUT = 30.0
CONNECTIONS = 4
"""Requests under way at one client."""
# Many servers close an idle connection after 5 s. A submission that meets a closing connection can only
# be called ambiguous, so idle connections are given up first.
_IDLE_SECONDS = 4.0


class Clients:
    """As many clients as are needed; the first that has room is taken, so that its connections stay warm.

    httpcore looks at each idle connection of a pool for every request, and for each of these at all others:
    a hundred requests a second over 64 connections of one pool leave no time for anything else.

    `timeout` is in seconds. None of the clients follows a redirect.
    """

    def __init__(
        self, timeout: float, headers: Mapping[str, str], tls: ssl.SSLContext, *, trust_env: bool
    ) -> None:
        self._headers = {
            "User-Agent": f"imgbuild/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **headers,
        }
        # Half, so that "no connection" is known as such before the whole time is over.
        self._timeout = httpx.Timeout(timeout, connect=min(timeout / 2, CONNECT_TIMEOUT))
        self._tls = tls
        self._trust_env = trust_env
        self._under_way: dict[httpx.AsyncClient, int] = {}

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one request, until its answer is read."""
        client = next((one for one, count in self._under_way.items() if count < CONNECTIONS), None)
        if client is None:
            client = self._connect()
        self._under_way[client] = self._under_way.get(client, 0) + 1
        try:
            yield client
        finally:
            self._under_way[client] -= 1

    async def aclose(self) -> None:
        """Close connections."""
        for client in self._under_way:
            await client.aclose()

    def _connect(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self._headers,
            timeout=self._timeout,
            limits=httpx.Limits(keepalive_expiry=_IDLE_SECONDS),
            verify=self._tls,
            trust_env=self._trust_env,
            follow_redirects=False,
        )
