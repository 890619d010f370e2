"""A store for shared caches that counts: an object store and Bazel's protocol in memory: `python -m` this."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field

_PIECE = 1 << 14
"""Bytes that one connection sends before others have their turn on a narrow link."""
_KINDS = ("blobs", "cas", "claim", "result", "declared", "output", "ac")


@dataclass(slots=True)
class Link:
    """The one way to the store, which everybody shares. No rate: as fast as it goes."""

    latency: float
    """Seconds before an answer begins."""
    rate: float | None
    """Bytes a second, of all answers together."""
    free_at: float = 0.0

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send at the link's pace."""
        if self.rate is None:
            writer.write(data)
            await writer.drain()
            return
        loop = asyncio.get_running_loop()
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            self.free_at = max(self.free_at, loop.time()) + len(piece) / self.rate
            await asyncio.sleep(self.free_at - loop.time())
            writer.write(piece)
            await writer.drain()


@dataclass(slots=True)
class Store:
    """Objects by path, and how often each kind of them was asked for."""

    link: Link
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    """By kind of object and method."""
    received: int = 0
    sent: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until its client lets go."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, target, _ = first.split(" ")
                await self._answer(writer, method, target.partition("?")[0], body, headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> None:
        if path.startswith("/_"):
            status, data = 200, self._told(path)
        else:
            if self.link.latency:
                await asyncio.sleep(self.link.latency)
            status, data = (
                self._delete_many(path, body)
                if method == "POST"
                else self._do(method, path, body, if_none=headers.get("if-none-match") == "*")
            )
        lines = [
            f"HTTP/1.1 {status} -",
            f"content-length: {len(data)}",
            'etag: "0"',
            "last-modified: Thu, 01 Jan 2026 00:00:00 GMT",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.link.send(writer, b"" if method == "HEAD" else data)

    def _do(self, method: str, path: str, body: bytes, *, if_none: bool) -> tuple[int, bytes]:
        self.requests[f"{_kind(path)} {method}"] += 1
        self.received += len(body)
        data = self.objects.get(path)
        match method:
            case "PUT" if if_none and data is not None:
                return 412, b"<Error><Code>PreconditionFailed</Code></Error>"
            case "PUT":
                self.objects[path] = body
                return 200, b""
            case "DELETE":
                self.objects.pop(path, None)
                return 204, b""
        if data is None:
            return 404, b""
        self.sent += 0 if method == "HEAD" else len(data)
        return 200, data

    def _delete_many(self, bucket: str, body: bytes) -> tuple[int, bytes]:
        """S3's DeleteObjects, which obstore uses for one object, too."""
        keys = re.findall(r"<Key>([^<]+)</Key>", body.decode())
        for key in keys:
            self._do("DELETE", f"{bucket}/{key}", b"", if_none=False)
        told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return 200, f"<DeleteResult>{told}</DeleteResult>".encode()

    def _told(self, path: str) -> bytes:
        """What was counted since somebody last asked for `/_counts`."""
        kept = Counter[str]()
        for name, data in self.objects.items():
            kept[_kind(name)] += len(data)
        told = {
            "requests": dict(self.requests),
            "received": self.received,
            "sent": self.sent,
            "objects": len(self.objects),
            "kept": dict(kept),
        }
        self.requests.clear()
        self.received = self.sent = 0
        return json.dumps(told).encode()


def _kind(path: str) -> str:
    return next((part for part in path.split("/") if part in _KINDS), "other")


async def serve(link: Link) -> None:
    """Serve on a free port of loopback, which is printed, until the process is ended."""
    server = await asyncio.start_server(Store(link).serve, "127.0.0.1", 0, limit=1 << 20, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rate", type=float, help="bytes a second, of all answers together")
    chosen = parser.parse_args()
    asyncio.run(serve(Link(chosen.latency, chosen.rate)))
