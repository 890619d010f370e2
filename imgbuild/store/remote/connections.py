"""Connections to one server that many threads share, each for one request at a time.

On the standard library: a fresh machine asks for thousands of small files, and a client that can do more
takes several times as long for each.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, InvalidURL
from select import POLLIN, poll
from urllib.parse import quote, urlsplit

_CONNECT_TIMEOUT = 5.0
_REST = 1 << 16
"""Bytes of an answer that nobody wants; with more of them the connection is not worth keeping."""
_BLOCK = 1 << 18


class Connections:
    """The connections to the server at an `http` or `https` address."""

    def __init__(self, address: str, timeout: float) -> None:
        """`timeout`: seconds without an answer. Raises HTTPException for an address that is none."""
        try:
            parts = urlsplit(address)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise InvalidURL(str(error)) from None
        self._prefix = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self._tls = _tls_context() if parts.scheme == "https" else None
        self._timeout = timeout
        self._idle: list[HTTPConnection] = []

    @contextmanager
    def exchange(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None, headers: Mapping[str, str]
    ) -> Iterator[HTTPResponse]:
        """Send one request; its answer can be read within. No redirect is followed.

        Raises HTTPException or OSError, of which a TimeoutError is one.
        """
        connection = self._take()
        is_sent = is_free = False
        try:
            # A server may refuse before all of a body is sent: then its answer is there to be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, self._prefix + path, body, headers)
                is_sent = True
            response = connection.getresponse()
            yield response
            if not response.isclosed():
                response.read(_REST)
            is_free = is_sent and response.isclosed() and not response.will_close
        finally:
            if is_free:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close those that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> HTTPConnection:
        """One that waits for its next request, or a new one. Raises OSError."""
        while True:
            try:
                waiting = self._idle.pop()
            except IndexError:
                return self._connect()
            if not _has_ended(waiting):
                return waiting
            waiting.close()

    def _connect(self) -> HTTPConnection:
        patience = min(self._timeout, _CONNECT_TIMEOUT)
        if self._tls is None:
            new = HTTPConnection(self._host, self._port, patience, blocksize=_BLOCK)
        else:
            new = HTTPSConnection(
                self._host, self._port, timeout=patience, context=self._tls, blocksize=_BLOCK
            )
        new.connect()
        new.sock.settimeout(self._timeout)
        return new


def _has_ended(connection: HTTPConnection) -> bool:
    """Whether the server has let go of a connection that waits, or has said something unasked."""
    watched = poll()
    watched.register(connection.sock, POLLIN)
    return bool(watched.poll(0))


def _tls_context() -> ssl.SSLContext:
    """Verified TLS with the same certificates as everywhere else."""
    import httpx

    return httpx.create_ssl_context()
