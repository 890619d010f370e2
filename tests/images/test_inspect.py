"""A picture counts only once all of it has been decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.images.decode import inspect
from imgbuild.images.vips import pyvips


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.gif"])
def test_a_whole_picture(make_picture, name: str) -> None:
    facts = inspect(make_picture(name, 40, 30))
    assert (facts.width, facts.height) == (40, 30)


def test_the_name_does_not_matter(make_picture) -> None:
    path = make_picture("a.jpg")
    assert inspect(path.rename(path.with_name("picture[n=2].png"))).format == "jpeg"


def test_a_turned_photo_has_the_size_that_is_shown(make_picture) -> None:
    path = make_picture("a.jpg", 40, 30)
    image = pyvips.Image.jpegload(str(path)).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    path.write_bytes(image.jpegsave_buffer())
    facts = inspect(path)
    assert (facts.width, facts.height) == (30, 40)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif"])
def test_damage_inside_is_found_or_harmless(make_picture, name: str) -> None:
    """Zeroes in the middle either fail to decode or decode to a picture of the size that was announced."""
    path: Path = make_picture(name, 256, 256)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(len(data[middle : middle + 64]))
    path.write_bytes(data)
    try:
        facts = inspect(path)
    except BadImageError:
        return
    assert (facts.width, facts.height) == (256, 256)


def test_a_png_whose_pixels_are_missing(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path = tmp_path / "a.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 900, 900, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + bytes(900 * 3)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    with pytest.raises(BadImageError, match="cannot be decoded"):
        inspect(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.png"):
        inspect(tmp_path / "gone.png")
    with pytest.raises(StorageError):
        inspect(tmp_path)


def test_no_other_loader_can_be_reached(make_picture, tmp_path: Path) -> None:
    svg = tmp_path / "a.svg"
    svg.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>')
    with pytest.raises(pyvips.Error):
        pyvips.Image.svgload(str(svg))
    table = tmp_path / "a.csv"
    table.write_text("1,2\n3,4\n")
    with pytest.raises(pyvips.Error):
        pyvips.Image.csvload(str(table))
