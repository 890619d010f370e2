"""A server of the Bazel HTTP cache protocol that can be told to misbehave in one way or another."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class OddServer(ThreadingHTTPServer):
    """Keeps what it is given. `mood`: how it answers GET and HEAD; `refuses`: it takes nothing."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.scheme, self.host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
        self.stored: dict[str, bytes] = {}
        self.mood = "kind"
        self.refuses = False
        self.requests: Counter[str] = Counter()
        self.connections = 0
        self.secrets: set[str] = set()
        self.ended = threading.Event()

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.host}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that lets go is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OddServer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_PUT(self) -> None:
        self.server.requests["PUT"] += 1
        self.server.secrets.add(self.headers.get("Authorization", ""))
        data = self._body()
        if self.server.refuses:
            self._send(403, b"")
            return
        self.server.stored[self.path] = data
        self._send(201, b"")

    def _body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        raise AssertionError("a body of unknown length")

    def _answer(self, *, body: bool) -> None:
        server = self.server
        server.requests[self.command] += 1
        data = server.stored.get(self.path)
        match server.mood:
            case "dead":
                self.close_connection = True
                return
            case "failing":
                self._send(500, b"out of order")
                return
            case "hanging":
                server.ended.wait(30)
                self.close_connection = True
                return
            case "hanging once" if server.requests[self.command] == 1:
                server.ended.wait(30)
                self.close_connection = True
                return
            case "busy" if server.requests[self.command] < 3:
                self._send(503, b"later")
                return
            case "breaking off" if data is not None and "/cas/" in self.path:
                self._send(200, data, cut=len(data) // 2)
                self.close_connection = True
                return
            case "letting go":
                # Without a word of it in the answer.
                self.close_connection = True
            case "garbage":
                self._send(200, b"<html>log in</html>" if body else b"")
                return
            case "wrong bytes" if data is not None and "/cas/" in self.path:
                data = bytes(len(data))
            case "cut short" if data is not None and "/cas/" in self.path:
                data = data[: len(data) // 2]
            case "far too long" if data is not None and "/cas/" in self.path:
                data = data + bytes(5_000_000)
        if data is None:
            self._send(404, b"")
        else:
            self._send(200, data, body=body)

    def _send(self, status: int, data: bytes, *, body: bool = True, cut: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) - cut])


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[OddServer]:
    """A running server."""
    server = OddServer(tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
