"""Bytes that say they are a picture."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, declared: tuple[int, int] | None = None) -> bytes:
    """A grey PNG; `declared` is what its header says instead."""
    wide, high = declared or (width, height)
    header = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" + b"\x80" * 3 * width
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil.js", "alert(1)")
    return file.getvalue()


GOOD = png(1024, 1024)
EVIL = {
    "a header of 50,000 pixels a side": (png(1, 1, declared=(50_000, 50_000)), "50000x50000"),
    "HTML": (b"<!doctype html><script>alert(1)</script>", "HTML"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "SVG"),
    "a zip behind the end": (GOOD + zipped(), "follow the end"),
    "a script behind the end": (GOOD + b"<script>alert(1)</script>", "follow the end"),
    "cut short": (GOOD[:-20], "cut short"),
    "nothing": (b"", "empty"),
    "zeros": (bytes(1000), "zero"),
    "a zip": (zipped(), "zip"),
    "a PDF": (b"%PDF-1.7\n", "PDF"),
    "a TIFF": (b"II*\0" + bytes(100), "TIFF"),
    "JSON": (b'{"error": "sorry"}', "JSON"),
    "another size than its header's": (png(8, 8, declared=(1024, 1024)), ""),
    "postscript": (b"%!PS-Adobe-3.0\n", ""),
}
