"""A real server on loopback that answers with exact bytes, so that every way of breaking can be had."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CANARY = "sk-canary-0123456789abcdef"
TLS = Path(__file__).parent / "tls"


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    raw_head: str

    def json(self) -> Any:
        return json.loads(self.body)


RESET = b"<reset>"
HANG = b"<hang>"
CLOSE = b"<close>"


def http(status: int = 200, body: bytes = b"", *, length: int | None = None, **headers: str) -> bytes:
    """A response; `length` lies about the body's. Underscores in header names stand for hyphens."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(value: object, status: int = 200, **headers: str) -> bytes:
    return http(status, json.dumps(value).encode(), Content_Type="application/json", **headers)


@dataclass
class Server:
    """`script` gives the bytes for each request; what follows RESET, HANG or CLOSE is done to the socket."""

    script: Callable[[Received], bytes]
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Received(method, path, headers, body, head)
        self.received.append(request)
        reply = self.script(request)
        for mark in (RESET, HANG, CLOSE):
            if reply.endswith(mark):
                writer.write(reply.removesuffix(mark))
                await writer.drain()
                if mark is HANG:
                    await reader.read()
                if mark is RESET:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()
                return False
        writer.write(reply)
        await writer.drain()
        return True


@asynccontextmanager
async def serving(script: Callable[[Received], bytes] | bytes, *, tls: bool = False) -> AsyncIterator[Server]:
    server = Server(script if callable(script) else lambda _: script)
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0, ssl=context, limit=2**24)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listener.close()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
