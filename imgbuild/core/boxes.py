"""AVIF's boxes: the size and alpha of the primary picture, and whether the file is whole.

Box layouts: ISO/IEC 14496-12 (boxes, full boxes) and 23008-12 (pitm, iprp, ipco, ipma, ispe, irot, auxC).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from imgbuild.core.errors import BadImageError
from imgbuild.core.window import Window

_ALPHA_URNS = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
_MAX_BOXES = 4096


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    body: bytes


def parse_avif(window: Window) -> tuple[int, int, bool]:
    """Width, height (as displayed) and whether there is an alpha picture. Raises BadImageError."""
    meta = _meta_box(window)
    boxes = {box.kind: box.body for box in _inside(meta[4:])}
    primary = _primary_item(boxes.get(b"pitm", b""))
    properties = {box.kind: box.body for box in _inside(boxes.get(b"iprp", b""))}
    known = list(_inside(properties.get(b"ipco", b"")))
    wanted = _associations(properties.get(b"ipma", b"")).get(primary, ())
    mine = {known[index - 1].kind: known[index - 1].body for index in wanted if 0 < index <= len(known)}
    size = mine.get(b"ispe", b"")
    if len(size) < 12:
        raise BadImageError("the AVIF does not say how large its picture is")
    width, height = struct.unpack(">II", size[4:12])
    if mine.get(b"irot", b"\0")[:1] in (b"\1", b"\3"):
        width, height = height, width
    alpha = any(box.kind == b"auxC" and box.body[4:].startswith(_ALPHA_URNS) for box in known)
    return width, height, alpha


def _meta_box(window: Window) -> bytes:
    """Walk the top level, whose boxes must end exactly where the file does, and keep the meta box."""
    at, meta, media = 0, None, False
    for _ in range(_MAX_BOXES):
        if at == window.length:
            break
        header = window.read(at, min(16, window.length - at))
        if header is None:
            break
        kind = header[4:8]
        if not kind.isascii() or not kind.replace(b" ", b"").isalnum():
            raise BadImageError(
                f"{window.length - at} bytes of other data follow the end of the AVIF"
                if media and meta is not None
                else "the AVIF's structure is broken",
            )
        size, skip = int.from_bytes(header[:4], "big"), 8
        if size == 1 and len(header) == 16:
            size, skip = int.from_bytes(header[8:16], "big"), 16
        elif size == 0:
            size = window.length - at
        if size < skip:
            raise BadImageError("the AVIF's structure is broken")
        if at + size > window.length:
            raise BadImageError(
                f"the AVIF is cut short: it needs {at + size} bytes and has {window.length}",
                remedy="Download it again.",
            )
        media = media or kind == b"mdat"
        if kind == b"meta" and meta is None:
            meta = window.read(at + skip, size - skip)
        at += size
    if meta is None:
        raise BadImageError("the AVIF has no readable description of its picture")
    return meta


def _inside(data: bytes) -> Iterator[_Box]:
    """The boxes in a body; ends quietly where the data do."""
    at = 0
    for _ in range(_MAX_BOXES):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8 or at + size > len(data):
            return
        yield _Box(data[at + 4 : at + 8], data[at + 8 : at + size])
        at += size


def _primary_item(body: bytes) -> int:
    return int.from_bytes(body[4:6] if body[:1] == b"\0" else body[4:8], "big")


def _associations(body: bytes) -> dict[int, tuple[int, ...]]:
    """From item to the numbers (from 1) of its properties."""
    if len(body) < 8:
        return {}
    wide_id, wide_index = body[0] >= 1, bool(body[3] & 1)
    count, at = int.from_bytes(body[4:8], "big"), 8
    found: dict[int, tuple[int, ...]] = {}
    for _ in range(min(count, _MAX_BOXES)):
        step = 4 if wide_id else 2
        item = int.from_bytes(body[at : at + step], "big")
        at += step
        length = body[at] if at < len(body) else 0
        at += 1
        width = 2 if wide_index else 1
        mask = 0x7FFF if wide_index else 0x7F
        found[item] = tuple(
            int.from_bytes(body[at + k * width : at + (k + 1) * width], "big") & mask for k in range(length)
        )
        at += length * width
    return found
