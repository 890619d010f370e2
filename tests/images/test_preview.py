"""What stands in for a picture until it is loaded."""

from __future__ import annotations

import base64
import random
import re
from pathlib import Path

import pytest
from making import FORMATS, make, plain, recipe, stored

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Size
from imgbuild.images.preview import preview
from imgbuild.images.thumbhash import thumbhash
from imgbuild.images.vips import pyvips

NAMES = ["a.png", "a.jpg", "a.webp", "a.avif", "a.gif"]
REFERENCE = [
    (0, 32, 17, False, "dfe7010c82887856908663267873084ba7aef8"),
    (1, 17, 32, False, "1f08020c0287b48e839d2d990ada90e9f5c9ba"),
    (2, 32, 32, True, "df07820500089d78fb9ba9d19b646f1bafbc79a798899af8b6"),
    (3, 5, 7, False, "df370a1508ba8a8859c997858980a677b0ceb4fb69"),
    (4, 100, 100, False, "1ff8010700a48ae44f74776d9628c7b9a7aa3444fa629f05"),
    (5, 100, 3, True, "1ef881098408559fb68a88159f787f68698f95ca8c8e38"),
    (6, 31, 29, False, "df07020f8261066bbb78a6942798987a46f56c6509f95403"),
    (7, 20, 10, True, "1ff8810b8207a5559ecb60399350d0b3243d508ab3826b"),
    (8, 64, 48, False, "2008020d82926c07714ad6c77b255a44ba96c0fc51"),
    (9, 9, 90, True, "20f8810900077d7546f6d8f287dc3f094d9ca459bf5677"),
]
"""Seed, width, height, alpha, and what rgbaToThumbHash of npm's thumbhash 0.1.1 makes of those pixels."""


def lqip(data_uri: str) -> pyvips.Image:
    start = "data:image/webp;base64,"
    assert data_uri.startswith(start)
    return pyvips.Image.webpload_buffer(base64.b64decode(data_uri.removeprefix(start)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "height"), [(1200, 630), (300, 900), (7, 5), (1, 1), (1000, 1)])
def test_it_is_small_and_has_the_pictures_shape(make_picture, name: str, width: int, height: int) -> None:
    made = preview(make_picture(name, width, height))
    tiny = lqip(made.lqip)
    scale = min(1.0, 20 / max(width, height))
    assert abs(tiny.width - width * scale) <= 1
    assert abs(tiny.height - height * scale) <= 1
    assert len(made.lqip) <= 400
    assert re.fullmatch("#[0-9a-f]{6}", made.color)
    assert 5 < len(base64.b64decode(made.thumbhash)) <= 25


def test_even_noise_is_small(tmp_path: Path) -> None:
    generator = random.Random(4)
    noise = pyvips.Image.new_from_memory(generator.randbytes(20 * 20 * 4), 20, 20, 4, "uchar")
    assert len(preview(stored(noise, tmp_path / "a.png")).lqip) <= 1200


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_a_picture_looks_alike(tmp_path: Path, format: str) -> None:
    picture = plain(600, 400, 40, 90, 160).insert(plain(220, 200, 230, 200, 40), 300, 150)
    source, to = stored(picture, tmp_path / "a.png"), tmp_path / "out"
    make(source, to, recipe(format))
    made, of_master = preview(to), preview(source)
    for one, other in zip(bytes.fromhex(made.color[1:]), bytes.fromhex(of_master.color[1:]), strict=True):
        assert abs(one - other) < 6
    assert (lqip(made.lqip).cast("float") - lqip(of_master.lqip)).abs().avg() < 6


def test_the_same_file_gives_the_same_preview(make_picture) -> None:
    path = make_picture("a.webp", 500, 300, alpha=True)
    assert preview(path) == preview(path)


def test_the_dominant_colour_is_the_one_that_fills_most(tmp_path: Path) -> None:
    picture = plain(200, 100, 20, 120, 220).insert(plain(60, 100, 250, 10, 10), 0, 0)
    assert preview(stored(picture, tmp_path / "a.png")).color == "#1478dc"


def test_what_is_not_seen_has_no_colour(tmp_path: Path) -> None:
    picture = plain(100, 100, 0, 255, 0, 0).insert(plain(30, 30, 200, 40, 90, 255), 20, 20)
    assert preview(stored(picture, tmp_path / "a.png")).color == "#c8285a"
    assert preview(stored(plain(10, 10, 9, 9, 9, 0), tmp_path / "b.png")).color == "#000000"


def test_transparency_stays_visible_in_the_placeholder(make_picture, tmp_path: Path) -> None:
    assert lqip(preview(make_picture("a.png", 200, 100, alpha=True)).lqip).hasalpha()
    to = tmp_path / "out.webp"
    make(make_picture("a.png", 200, 100, alpha=True), to, recipe("webp", size=Size(80, 40)))
    assert lqip(preview(to).lqip).hasalpha()


@pytest.mark.parametrize(("seed", "width", "height", "alpha", "expected"), REFERENCE)
def test_the_hash_is_the_references(seed: int, width: int, height: int, alpha: bool, expected: str) -> None:
    generator = random.Random(seed)
    pixels = bytearray(generator.randbytes(width * height * 4))
    if not alpha:
        pixels[3::4] = b"\xff" * (width * height)
    assert thumbhash(width, height, bytes(pixels)).hex() == expected


def test_a_picture_of_one_colour_has_no_waves() -> None:
    hashed = thumbhash(30, 20, bytes([90, 160, 30, 255]) * 600)
    assert set(hashed[5:]) == {0}


@pytest.mark.parametrize(("width", "height", "length"), [(101, 1, 404), (0, 1, 0), (2, 2, 15)])
def test_other_sizes_have_no_hash(width: int, height: int, length: int) -> None:
    with pytest.raises(ValueError, match="100x100"):
        thumbhash(width, height, bytes(length))


def test_what_is_no_picture_has_no_preview(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("hello")
    with pytest.raises(BadImageError):
        preview(path)
