"""What a file is, from its first and last bytes: format, size and alpha, or why it is no usable image.

A name or a Content-Type proves nothing. The layouts are those of the formats' own specifications: PNG (W3C,
third edition), JPEG (ITU-T T.81), GIF89a, the WebP container (RFC 9649), and ISO/IEC 14496-12 with 23008-12
for AVIF.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from imgbuild.core.boxes import parse_avif
from imgbuild.core.errors import BadImageError
from imgbuild.core.window import Window

HEAD_BYTES = 1 << 20
"""How much of a file's start to hand to `sniff`. JPEG keeps its size behind metadata that may be long."""
TAIL_BYTES = 1 << 16
"""How much of its end, so that something appended can be told from something missing."""
MAX_SIDE = 16_384
"""Pixels. Above the largest generation on offer (8k) and still within JPEG, WebP and AVIF."""
MAX_PIXELS = 1 << 27
"""134 million pixels: half a gigabyte as RGBA."""

_REMEDY = "The service answered with something else than a picture; look at the kept bytes, or try again."
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PADDING = b"\0\r\n "
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_NOT_A_FRAME = frozenset({0xC4, 0xC8, 0xCC})
_OTHERS = (
    (b"PK\x03\x04", 0, "a zip archive"),
    (b"%PDF-", 0, "a PDF"),
    (b"II*\0", 0, "a TIFF"),
    (b"MM\0*", 0, "a TIFF"),
    (b"BM", 0, "a BMP"),
    (b"8BPS", 0, "a Photoshop file"),
    (b"\x1f\x8b", 0, "gzip data"),
    (b"\xff\x0a", 0, "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", 0, "a JPEG XL"),
    (b"ftypheic", 4, "a HEIC"),
    (b"ftypmp4", 4, "a video"),
    (b"ftypisom", 4, "a video"),
    (b"\x1aE\xdf\xa3", 0, "a video"),
)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file's bytes say. Width and height are pixels; `alpha`: parts can be transparent."""

    format: str
    """png, jpeg, webp, avif or gif."""
    width: int
    height: int
    alpha: bool


def sniff(head: bytes, tail: bytes, length: int) -> ImageFacts:
    """Judge a file of `length` bytes by its first `HEAD_BYTES` and last `TAIL_BYTES` (or all that it has).

    Raises BadImageError, naming the reason, for everything that is not one complete PNG, JPEG, WebP, AVIF or
    GIF of a sane size. Pixels are not decoded here.
    """
    if length <= 0 or not head:
        raise BadImageError("the file is empty", remedy=_REMEDY)
    window = Window(head, tail, length)
    for matches, parse, check_end in _FORMATS:
        if matches(head):
            facts = parse(window)
            _check_size(facts)
            check_end(window)
            return facts
    raise BadImageError(f"not an image that can be used: {_describe(head)}", remedy=_REMEDY)


def _check_size(facts: ImageFacts) -> None:
    width, height = facts.width, facts.height
    if width < 1 or height < 1:
        raise BadImageError(f"the {facts.format} header says {width}x{height} pixels")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise BadImageError(
            f"the {facts.format} header says {width}x{height} pixels; the limit is {MAX_SIDE} a side and "
            f"{MAX_PIXELS} in all"
        )


def _describe(head: bytes) -> str:
    for magic, at, name in _OTHERS:
        if head.startswith(magic, at):
            return name
    text = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "an SVG (which may hold scripts, and has no pixels of its own)"
    if text.startswith((b"{", b"[")):
        return "JSON"
    if text.startswith(b"<"):
        return "XML or HTML"
    if not head[:4096].strip(b"\0"):
        return "nothing but zero bytes"
    if all(byte >= 0x20 or byte in b"\t\n\r" for byte in head[:4096]):
        return "plain text"
    return "an unknown kind of data"


def _truncated(name: str, detail: str) -> BadImageError:
    return BadImageError(f"the {name} is cut short: {detail}", remedy="Download it again.")


def _data_after(name: str, count: int) -> BadImageError:
    return BadImageError(
        f"{count} bytes of other data follow the end of the {name}",
        remedy="Something was appended to the picture; save it anew with an image editor to use it.",
    )


def _require_end(window: Window, name: str, marker: bytes, what: str) -> None:
    """The file must end with `marker`; what stands behind it is told apart from a missing end.

    Padding is let pass: cameras and delivery networks write it, and a paid picture is whole without it.
    """
    found = window.tail.rfind(marker)
    if found >= 0 and not window.tail[found + len(marker) :].strip(_PADDING):
        return
    if found >= 0:
        raise _data_after(name, len(window.tail) - found - len(marker))
    raise _truncated(name, f"{what} is not at its end")


def _png(window: Window) -> ImageFacts:
    header = window.read(8, 25)
    if header is None or header[:8] != b"\0\0\0\rIHDR":
        raise _truncated("PNG", "its header is missing")
    width, height, _depth, colour = struct.unpack(">IIBB", header[8:18])
    return ImageFacts("png", width, height, alpha=colour in (4, 6) or _png_has_transparency(window))


def _png_end(window: Window) -> None:
    _require_end(window, "PNG", _PNG_END, "the IEND chunk")


def _png_has_transparency(window: Window) -> bool:
    """A tRNS chunk stands before the first IDAT."""
    at = 8
    while (chunk := window.read(at, 8)) is not None and chunk[4:] not in (b"IDAT", b"IEND"):
        if chunk[4:] == b"tRNS":
            return True
        at += 12 + int.from_bytes(chunk[:4], "big")
    return False


def _jpeg(window: Window) -> ImageFacts:
    frame = next(_jpeg_frames(window), None)
    if frame is None:
        raise _truncated("JPEG", "no frame header was found")
    height, width = struct.unpack(">HH", frame)
    return ImageFacts("jpeg", width, height, alpha=False)


def _jpeg_end(window: Window) -> None:
    _require_end(window, "JPEG", b"\xff\xd9", "the end marker")


def _jpeg_frames(window: Window) -> Iterator[bytes]:
    at = 2
    while (segment := window.read(at, 4)) is not None and segment[0] == 0xFF:
        marker = segment[1]
        if marker == 0xFF:
            at += 1
        elif marker in (0xDA, 0xD9):
            return
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_A_FRAME:
            size = window.read(at + 5, 4)
            if size is not None:
                yield size
            return
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(segment[2:], "big"))


def _gif(window: Window) -> ImageFacts:
    header = window.read(0, 13)
    if header is None:
        raise _truncated("GIF", "its header is missing")
    width, height, flags = struct.unpack("<HHB", header[6:11])
    palette = 3 << ((flags & 7) + 1) if flags & 0x80 else 0
    return ImageFacts("gif", width, height, alpha=_gif_has_transparency(window, 13 + palette))


def _gif_end(window: Window) -> None:
    if window.tail[-1:] != b";":
        raise BadImageError("the GIF is cut short, or other data follow its end", remedy="Download it again.")


def _gif_has_transparency(window: Window, at: int) -> bool:
    """The first frame's graphic control extension says so; other extensions are stepped over."""
    while (block := window.read(at, 4)) is not None and block[0] == 0x21:
        if block[1] == 0xF9:
            return bool(block[3] & 1)
        at += 2
        while (size := window.read(at, 1)) is not None and size[0]:
            at += 1 + size[0]
        at += 1
    return False


def _webp(window: Window) -> ImageFacts:
    start = window.read(0, 30)
    if start is None:
        raise _truncated("WebP", "its header is missing")
    kind, body = start[12:16], start[20:]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(body[4:7], "little")
        height = 1 + int.from_bytes(body[7:10], "little")
        return ImageFacts("webp", width, height, alpha=bool(body[0] & 0x10))
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return ImageFacts("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), alpha=bool(bits >> 28 & 1))
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return ImageFacts("webp", width & 0x3FFF, height & 0x3FFF, alpha=False)
    raise BadImageError("the WebP has no header that is known")


def _webp_end(window: Window) -> None:
    end = 8 + int.from_bytes(window.head[4:8], "little")
    if end > window.length:
        raise _truncated("WebP", f"it says {end} bytes and has {window.length}")
    if end + end % 2 < window.length:
        raise _data_after("WebP", window.length - end)


def _avif(window: Window) -> ImageFacts:
    width, height, alpha = parse_avif(window)
    return ImageFacts("avif", width, height, alpha)


def _is_avif(head: bytes) -> bool:
    brands = head[8 : min(int.from_bytes(head[:4], "big"), 256)]
    named = (brands[at : at + 4] for at in range(0, len(brands), 4))
    return head[4:8] == b"ftyp" and any(brand in (b"avif", b"avis") for brand in named)


def _avif_end(_window: Window) -> None:
    """Its boxes were followed to the end when they were read."""


_FORMATS: tuple[
    tuple[Callable[[bytes], bool], Callable[[Window], ImageFacts], Callable[[Window], None]], ...
] = (
    (lambda head: head.startswith(_PNG_SIGNATURE), _png, _png_end),
    (lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg, _jpeg_end),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", _webp, _webp_end),
    (_is_avif, _avif, _avif_end),
    (lambda head: head.startswith((b"GIF87a", b"GIF89a")), _gif, _gif_end),
)
