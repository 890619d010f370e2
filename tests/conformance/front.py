"""Hosts before an emulator that write down all they are sent: the service, its links' host, a redirect's target.

The service passes requests on and makes the emulator's links lead to the second host. That one sends
everybody on to the third, which has the bytes. So a build visits three origins, as with a real service and
its content network, and each has its own record.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SLICES = 10
_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "host", "date", "server"})


@dataclass(frozen=True)
class Received:
    """One request."""

    line: str
    headers: str
    body: bytes

    def __contains__(self, secret: str) -> bool:
        return secret in self.line or secret in self.headers or secret.encode() in self.body


@dataclass
class Host:
    """One origin: what it was sent."""

    url: str = ""
    pause: float = 0.0
    """Seconds before each of the `SLICES` parts of an answer's body."""
    received: list[Received] = field(default_factory=list)


@dataclass(frozen=True)
class Front:
    """The three origins."""

    service: Host
    links: Host
    target: Host


class _Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, host: Host, *rest: object) -> None:
        self.host = host
        super().__init__(*rest)  # type: ignore[arg-type]

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.host.received.append(Received(self.requestline, str(self.headers), body))
        self.answer(body)

    do_GET = do_POST = do_PUT = _any

    def answer(self, body: bytes) -> None:
        raise NotImplementedError

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not self.host.pause:
            self.wfile.write(body)
            return
        step = -(-len(body) // SLICES) or 1
        for start in range(0, len(body), step):
            time.sleep(self.host.pause)
            self.wfile.write(body[start : start + step])

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


class _Relay(_Recorder):
    def __init__(self, host: Host, upstream: str, named: Host, *rest: object) -> None:
        self.upstream = urlsplit(upstream)
        self.named = named
        super().__init__(host, *rest)

    def answer(self, body: bytes) -> None:
        assert self.upstream.hostname is not None
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=30)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP}
        # The emulator makes its links from the name that it was called by.
        headers["Host"] = urlsplit(self.named.url).netloc
        connection.request(self.command, self.path, body, headers)
        reply = connection.getresponse()
        content = reply.read()
        kept = {n: v for n, v in reply.getheaders() if n.lower() not in {*_HOP_BY_HOP, "content-length"}}
        connection.close()
        self.send(reply.status, kept, content)


class _Redirect(_Recorder):
    def __init__(self, host: Host, target: Host, *rest: object) -> None:
        self.target = target
        super().__init__(host, *rest)

    def answer(self, body: bytes) -> None:
        self.send(307, {"Location": self.target.url + self.path}, b"")


class _File(_Recorder):
    def __init__(self, host: Host, content: bytes, *rest: object) -> None:
        self.content = content
        super().__init__(host, *rest)

    def answer(self, body: bytes) -> None:
        self.send(200, {"Content-Type": "image/png"}, self.content)


@contextmanager
def front(emulator: str, pause: float = 0.0) -> Iterator[Front]:
    """The three hosts before the emulator at this address."""
    service, links, target = Host(pause=pause), Host(), Host(pause=pause)
    with ExitStack() as servers:
        servers.enter_context(_serving(target, partial(_Relay, target, emulator, target)))
        servers.enter_context(_serving(links, partial(_Redirect, links, target)))
        servers.enter_context(_serving(service, partial(_Relay, service, emulator, links)))
        yield Front(service, links, target)


@contextmanager
def redirector() -> Iterator[tuple[Host, Host]]:
    """A host that sends everybody on, and the one that it sends them to."""
    here, there = Host(), Host()
    with ExitStack() as servers:
        servers.enter_context(_serving(there, partial(_File, there, b"{}")))
        servers.enter_context(_serving(here, partial(_Redirect, here, there)))
        yield here, there


@contextmanager
def file_host(content: bytes) -> Iterator[Host]:
    """A host that has one picture, under every name."""
    host = Host()
    with _serving(host, partial(_File, host, content)):
        yield host


@contextmanager
def _serving(host: Host, handler: partial[_Recorder]) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    server.daemon_threads = True
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
