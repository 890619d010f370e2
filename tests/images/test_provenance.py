"""Every output says that a generative model made it, and nothing else that was not asked for."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import LOADERS, make, recipe

from imgbuild.images.provenance import TRAINED_ALGORITHMIC_MEDIA, xmp
from imgbuild.images.vips import pyvips

EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


def parsed(packet: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(packet)


def text_of(packet: bytes, tag: str) -> str | None:
    found = parsed(packet).find(f".//{tag}")
    return None if found is None else found.text


@pytest.mark.parametrize("format", LOADERS)
def test_it_is_in_the_file(make_picture, tmp_path: Path, format: str) -> None:
    to = tmp_path / "out"
    wanted = recipe(format, embedded={"prompt": "a <b> & “c” 城", "model": "m-1", "key": "k" * 64})
    make(make_picture("a.png"), to, wanted)
    assert TRAINED_ALGORITHMIC_MEDIA.encode() in to.read_bytes()
    packet = getattr(pyvips.Image, LOADERS[format])(str(to)).get("xmp-data")
    assert text_of(packet, f"{EXT}DigitalSourceType") == TRAINED_ALGORITHMIC_MEDIA
    assert text_of(packet, f"{EXT}AIPromptInformation") == "a <b> & “c” 城"
    assert text_of(packet, f"{EXT}AISystemUsed") == "m-1"
    assert text_of(packet, "{urn:imgbuild:xmp:}key") == "k" * 64


@pytest.mark.parametrize("format", LOADERS)
def test_nothing_foreign_is_carried_over(make_picture, tmp_path: Path, format: str) -> None:
    source, to = make_picture("a.png"), tmp_path / "out"
    image = pyvips.Image.pngload(str(source)).copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x>canary-xmp</x>")
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "canary-exif")
    data = image.pngsave_buffer()
    text = b"tEXtComment\0canary-comment"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    source.write_bytes(data[:33] + chunk + data[33:])
    assert {"xmp-data", "exif-ifd0-Artist"} <= set(pyvips.Image.pngload(str(source)).get_fields())
    make(source, to, recipe(format))
    assert b"canary" not in to.read_bytes()
    assert b"Prompt" not in to.read_bytes()


@given(st.text(max_size=200))
def test_any_prompt_makes_a_packet_that_can_be_read(prompt: str) -> None:
    text = text_of(xmp({"prompt": prompt}), f"{EXT}AIPromptInformation") or ""
    allowed = "".join(
        char for char in prompt if char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff")
    )
    assert text == allowed.replace("\r\n", "\n").replace("\r", "\n")


@given(st.sampled_from(["x", "&", "城", "😀"]), st.sampled_from([30_000, 70_000]))
def test_a_packet_fits_into_a_jpeg_segment(char: str, length: int) -> None:
    packet = xmp({"prompt": char * length, "model": "m", "key": "k" * 64})
    assert len(packet) <= 60_000
    text = text_of(packet, f"{EXT}AIPromptInformation") or ""
    assert text.rstrip("…") == char * len(text.rstrip("…"))
    assert text_of(packet, f"{EXT}AISystemUsed") == "m"
    assert text_of(packet, "{urn:imgbuild:xmp:}key") == "k" * 64


def test_a_long_prompt_survives_in_jpeg(make_picture, tmp_path: Path) -> None:
    to = tmp_path / "out.jpg"
    make(make_picture("a.png"), to, recipe("jpeg", embedded={"prompt": "word " * 50_000}))
    assert TRAINED_ALGORITHMIC_MEDIA.encode() in to.read_bytes()
    assert pyvips.Image.jpegload(str(to)).get("xmp-data").endswith(b'<?xpacket end="r"?>')
