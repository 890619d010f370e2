"""A service that answers every request with a picture of several megabytes, as base64: `python -m` this."""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import struct
import sys
import zlib
from itertools import count

SIDE = 1440
"""Pixels: noise of this width and height is a PNG of 6.2 MB, and 8.3 MB of base64."""
LATENCY = 0.5
"""Seconds before an answer begins, so that requests in flight overlap as they do at a real service."""
_PIECE = 1 << 16


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture() -> tuple[bytes, bytes]:
    """A PNG of noise without its end, of a length that base64 needs no padding for, and its end."""
    noise = random.Random(1)
    rows = b"".join(b"\0" + noise.randbytes(3 * SIDE) for _ in range(SIDE))
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    head += chunk(b"IDAT", zlib.compress(rows, 1))
    head += chunk(b"tEXt", b"Comment\0" + b" " * (-(len(head) + 20) % 3))
    return head, chunk(b"IEND", b"")


async def serve() -> None:
    """Serve on a free port of loopback, which is printed, until the process is ended."""
    head, end = picture()
    text = binascii.b2a_base64(head, newline=False)
    numbers = count()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.partition(b":")[2])
                    for line in request.splitlines()
                    if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                await asyncio.sleep(LATENCY)
                # No two answers are alike: each is a result of its own.
                tail = base64.b64encode(chunk(b"tEXt", b"Comment\0%d" % next(numbers)) + end)
                before, after = b'{"created": 1, "data": [{"b64_json": "', b'"}]}'
                size = len(before) + len(text) + len(tail) + len(after)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % size
                )
                writer.write(before)
                for at in range(0, len(text), _PIECE):
                    writer.write(text[at : at + _PIECE])
                    await writer.drain()
                writer.write(tail + after)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
