"""A gateway before an emulator: it breaks exchanges as a test tells it to, and writes down every one of them.

Links that the emulator gives lead through the gateway, too, so that results can be broken as well.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

RESET = b"<reset>"
"""At the end of an answer: the connection is reset after what stands before it."""
HANG = b"<hang>"
"""Nothing more is said until the client leaves."""
CLOSE = b"<close>"
"""The connection is closed."""

_TASK = re.compile(r"task_[0-9a-f]{8}[0-9]{6}")
_NAMED = re.compile(rb"\(([\w.-]+)\)")
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})
_TLS = Path(__file__).parents[1] / "providers" / "tls"


@dataclass
class Exchange:
    """One request. Times are seconds of the server's own clock, `wall` since 1970."""

    gateway: Gateway
    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes
    image: str
    """What stands in brackets in the prompt that it is about."""
    attempt: int
    """The how manieth request of its kind it is for this image, from 1."""
    together: int
    """How many submissions were unanswered when it came, with itself."""
    came: float = field(default_factory=time.monotonic)
    answered: float = 0.0
    wall: float = field(default_factory=time.time)

    @property
    def kind(self) -> str:
        """submit, poll or fetch."""
        return kind_of(self.method, self.path)

    @property
    def task(self) -> str | None:
        """The task that it asks for."""
        found = _TASK.search(self.path)
        return found[0] if found else None

    def forward(self) -> bytes:
        """The emulator's answer."""
        target = urlsplit(self.gateway.upstream)
        assert target.hostname is not None
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            connection.request(self.method, self.path, self.body or None, headers)
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        if self.kind == "submit":
            self.gateway.learn(self.image, body)
        kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in _HOP_BY_HOP]
        return answer(reply.status, body, *kept)


@dataclass
class Gateway:
    """Where it is, what it was asked, and `script`: what it answers."""

    upstream: str
    url: str = ""
    script: Callable[[Exchange], bytes] = Exchange.forward
    after: Callable[[Exchange], object] = lambda exchange: None
    """Called when an answer has been sent."""
    exchanges: list[Exchange] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)
    """The image that each task is for."""
    connections: int = 0
    _unanswered: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, kind: str, image: str | None = None) -> list[Exchange]:
        """The requests of a kind (submit, poll, fetch), for one image or for all."""
        found = list(self.exchanges)
        return [e for e in found if e.kind == kind and image in (None, e.image)]

    def learn(self, image: str, answered: bytes) -> None:
        """Remember which task is whose."""
        found = _TASK.search(answered.decode("latin-1"))
        if found:
            self.tasks[found[0]] = image

    def enter(self, method: str, path: str, headers: http.client.HTTPMessage, body: bytes) -> Exchange:
        """Write a request down."""
        kind, named, task = kind_of(method, path), _NAMED.search(body), _TASK.search(path)
        with self._guard:
            image = named[1].decode() if named else self.tasks.get(task[0], "") if task else ""
            attempt = sum(e.image == image and e.kind == kind for e in self.exchanges) + 1
            self._unanswered += kind == "submit"
            exchange = Exchange(self, method, path, headers, body, image, attempt, self._unanswered)
            self.exchanges.append(exchange)
        return exchange

    def leave(self, exchange: Exchange) -> None:
        """Its answer is about to be sent."""
        with self._guard:
            self._unanswered -= exchange.kind == "submit"
            exchange.answered = time.monotonic()


def kind_of(method: str, path: str) -> str:
    """What a request is for: submit, poll or fetch."""
    if method == "POST":
        return "submit"
    return "fetch" if path.startswith("/files/") else "poll"


def answer(status: int, body: bytes = b"", *headers: tuple[str, str], length: int | None = None) -> bytes:
    """An answer's bytes; `length` is what it says about the body's, where that is a lie."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def body_of(answered: bytes) -> bytes:
    """The body in an answer's bytes."""
    return answered.partition(b"\r\n\r\n")[2]


class _Handler(StreamRequestHandler):
    disable_nagle_algorithm = True

    def __init__(self, gateway: Gateway, *rest: object) -> None:
        self._gateway = gateway
        super().__init__(*rest)  # type: ignore[arg-type]

    def handle(self) -> None:
        # A client that goes away, perhaps because it was killed, is what all of this is about.
        with suppress(OSError, http.client.HTTPException):
            while self._one():
                pass

    def _one(self) -> bool:
        words = self.rfile.readline().decode("latin-1").split()
        if len(words) != 3:
            return False
        headers = http.client.parse_headers(self.rfile)
        body = self.rfile.read(int(headers.get("content-length", 0)))
        exchange = self._gateway.enter(words[0], words[1], headers, body)
        try:
            reply = self._gateway.script(exchange)
        finally:
            self._gateway.leave(exchange)
        mark = next((mark for mark in (RESET, HANG, CLOSE) if reply.endswith(mark)), b"")
        self.wfile.write(reply.removesuffix(mark))
        self._gateway.after(exchange)
        if mark == HANG:
            self.rfile.read(1)
        if mark == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        return not mark


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, gateway: Gateway, *, tls: bool) -> None:
        self._gateway = gateway
        super().__init__(("127.0.0.1", 0), lambda *rest: _Handler(gateway, *rest))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(_TLS / "cert.pem", _TLS / "key.pem")
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def get_request(self) -> tuple[socket.socket, Any]:
        self._gateway.connections += 1
        return super().get_request()

    def shutdown_request(self, request: Any) -> None:
        # Without a farewell, which would come before a reset.
        self.close_request(request)


@contextmanager
def gateway_before(upstream: str = "", *, tls: bool = False) -> Iterator[Gateway]:
    """A gateway before the emulator at this address. With `tls`, one whose certificate nobody trusts."""
    gateway = Gateway(upstream)
    with _Server(gateway, tls=tls) as server:
        port = server.server_address[1]
        gateway.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()
