"""Bytes are judged by what they are, and the verdict is an answer or a named reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import BadImageError
from imgbuild.core.sniff import HEAD_BYTES, MAX_SIDE, TAIL_BYTES, ImageFacts, sniff

MAGICS = [
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"\xff\xd8\xff\xc0\0\x11\x08",
    b"RIFF\x40\0\0\0WEBPVP8X",
    b"RIFF\x40\0\0\0WEBPVP8L",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"\0\0\0\x1cftypavif\0\0\0\0mif1avif\0\0\0\x40meta\0\0\0\0",
    b"GIF89a",
    b"",
]


def whole(data: bytes) -> ImageFacts:
    return sniff(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, colour: int = 2, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.avif", "a.gif"])
def test_every_format_is_known_by_its_bytes(make_picture, name: str, alpha: bool) -> None:
    facts = whole(make_picture(name, 96, 64, alpha=alpha).read_bytes())
    assert (facts.format, facts.width, facts.height) == (name[2:], 96, 64)
    assert facts.alpha is alpha


def test_a_jpeg_is_known_by_its_bytes(make_picture) -> None:
    assert whole(make_picture("a.jpg", 96, 64).read_bytes()) == ImageFacts("jpeg", 96, 64, False)
    assert whole(make_picture("b.jpg", 33, 17, interlace=True).read_bytes()).width == 33


@pytest.mark.parametrize("lossless", [False, True])
def test_both_kinds_of_webp(make_picture, lossless: bool) -> None:
    facts = whole(make_picture("a.webp", 70, 51, lossless=lossless).read_bytes())
    assert (facts.width, facts.height) == (70, 51)


def test_the_size_of_a_jpeg_behind_much_metadata(make_picture) -> None:
    plain = make_picture("a.jpg").read_bytes()
    segment = b"\xff\xeb" + struct.pack(">H", 65_000) + bytes(64_998)
    assert whole(plain[:2] + segment * 12 + plain[2:]).width == 96


def test_palette_transparency_is_alpha() -> None:
    assert whole(png(4, 4, 3, chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", b"\0"))).alpha
    assert not whole(png(4, 4, 3, chunk(b"PLTE", bytes(6)))).alpha


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>502</body></html>", "HTML"),
        (b"\xef\xbb\xbf\n <html>", "HTML"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?>\n<!-- x --><svg/>', "SVG"),
        (b'{"error": "quota"}', "JSON"),
        (b"Bad Gateway", "plain text"),
        (b"\0" * 500, "zero bytes"),
        (b"PK\x03\x04rest", "zip"),
        (b"%PDF-1.7", "PDF"),
        (b"\x01\x02\x03\x04", "unknown"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        whole(data)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.gif"])
@pytest.mark.parametrize("missing", [1, 20, 200])
def test_a_cut_file_is_refused(make_picture, name: str, missing: int) -> None:
    data = make_picture(name, alpha=False).read_bytes()
    with pytest.raises(BadImageError, match="cut short"):
        whole(data[:-missing])


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("padding", [b"\0", b"\r\n", b"\0" * 400])
def test_padding_behind_the_end_is_let_pass(make_picture, name: str, padding: bytes) -> None:
    whole = make_picture(name).read_bytes()
    padded = whole + padding
    assert sniff(padded, padded, len(padded)) == sniff(whole, whole, len(whole))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.gif"])
@pytest.mark.parametrize("tail", [b"PK\x03\x04\x14\0\0\0\x08\0zipped", b"<script>alert(1)</script>", b"\0x"])
def test_data_behind_the_end_are_refused(make_picture, name: str, tail: bytes) -> None:
    with pytest.raises(BadImageError, match=r"follow|broken"):
        whole(make_picture(name).read_bytes() + tail)


@pytest.mark.parametrize(
    ("width", "height"), [(0, 5), (5, 0), (50_000, 50_000), (MAX_SIDE + 1, 1), (MAX_SIDE, MAX_SIDE)]
)
def test_impossible_sizes_are_refused(width: int, height: int) -> None:
    with pytest.raises(BadImageError, match=f"{width}x{height}"):
        whole(png(width, height))


def test_the_reason_quotes_nothing_of_the_bytes() -> None:
    with pytest.raises(BadImageError) as caught:
        whole(b"<html>sk-secret-canary \x1b]52;c;x")
    assert "canary" not in str(caught.value)


def judged(data: bytes, head: int, tail: int) -> None:
    try:
        facts = sniff(data[:head], data[-tail:], len(data))
    except BadImageError:
        return
    assert facts.format in {"png", "jpeg", "webp", "avif", "gif"}
    assert 1 <= facts.width <= MAX_SIDE
    assert 1 <= facts.height <= MAX_SIDE


@given(st.sampled_from(MAGICS), st.binary(max_size=200), st.integers(1, 64), st.integers(1, 64))
def test_any_bytes_give_facts_or_a_reason(magic: bytes, rest: bytes, head: int, tail: int) -> None:
    judged(magic + rest, head, tail)
    judged(magic + rest, HEAD_BYTES, TAIL_BYTES)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.gif"])
def test_any_flipped_byte_gives_facts_or_a_reason(make_picture, name: str) -> None:
    path: Path = make_picture(name, 8, 8)
    data = path.read_bytes()
    for at in range(len(data)):
        for value in (0, 0xFF, data[at] ^ 1, data[at] ^ 0x80):
            judged(data[:at] + bytes([value]) + data[at + 1 :], HEAD_BYTES, TAIL_BYTES)
