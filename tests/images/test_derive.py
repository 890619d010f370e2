"""A recipe gives exactly the declared picture, and the same bytes every time."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import FORMATS, make, opened, pixels, plain, recipe

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.core.image import Fit, Size
from imgbuild.images.decode import inspect
from imgbuild.images.derive import Derived, encoder
from imgbuild.images.fit import jpeg_shrink, place
from imgbuild.images.vips import pyvips

SIDES = st.integers(1, 5000)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("fit", ["cover", "contain", "fill"])
@pytest.mark.parametrize("size", [Size(1, 1), Size(37, 23), Size(64, 64), Size(333, 100), Size(96, 64)])
def test_exactly_the_declared_size(make_picture, tmp_path: Path, format: str, fit: Fit, size: Size) -> None:
    source, to = make_picture("a.png", 96, 64, alpha=True), tmp_path / "out"
    made = make(source, to, recipe(format, size=size, fit=fit))
    assert made == Derived(size.width, size.height, format, to.stat().st_size)
    facts = inspect(to)
    assert (facts.format, facts.width, facts.height) == (format, size.width, size.height)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.gif"])
def test_every_format_is_a_source(make_picture, tmp_path: Path, name: str) -> None:
    to = tmp_path / "out.png"
    make(make_picture(name, 1500, 1000), to, recipe("png", size=Size(75, 75)))
    # Cover takes the middle: red from a sixth to five sixths of the gradient, green all of it.
    red, green, blue = opened(to).getpoint(0, 37)[:3]
    assert abs(red - 43) < 12
    assert abs(green - 128) < 12
    assert abs(blue - 128) < 12


def test_without_a_size_the_pixels_stay_as_they_are(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png", alpha=True), tmp_path / "out.png"
    make(source, to, recipe("png"))
    assert pixels(to) == pixels(source)
    make(source, to, recipe("png", size=Size(96, 64), fit="exact"))
    assert pixels(to) == pixels(source)


@given(source=st.builds(Size, SIDES, SIDES), frame=st.builds(Size, SIDES, SIDES))
def test_placement_laws(source: Size, frame: Size) -> None:
    cover = place(source, frame, "cover")
    assert cover.scaled.width >= frame.width
    assert cover.scaled.height >= frame.height
    assert cover.scaled.width == frame.width or cover.scaled.height == frame.height
    assert cover.left <= 0
    assert cover.top <= 0
    contain = place(source, frame, "contain")
    assert 1 <= contain.scaled.width <= min(frame.width, source.width)
    assert 1 <= contain.scaled.height <= min(frame.height, source.height)
    assert place(source, frame, "fill").scaled == frame
    shrink = jpeg_shrink(source, contain.scaled)
    assert shrink == 1 or source.width // shrink >= contain.scaled.width


def test_contain_does_not_enlarge(make_picture, tmp_path: Path) -> None:
    to = tmp_path / "out.png"
    make(make_picture("a.png", 20, 20), to, recipe("png", size=Size(60, 40), fit="contain"))
    image = opened(to)
    assert image.bands == 4
    assert image[3].find_trim(threshold=1, background=[0]) == [20, 10, 20, 20]


def test_contain_pads_with_white_where_there_is_no_transparency(make_picture, tmp_path: Path) -> None:
    to = tmp_path / "out.jpg"
    make(make_picture("a.png", 40, 20), to, recipe("jpeg", size=Size(40, 40), fit="contain"))
    assert min(opened(to).getpoint(20, 2)) > 250
    assert min(opened(to).getpoint(20, 37)) > 250


@pytest.mark.parametrize("format", ["png", "webp", "avif"])
def test_transparency_is_kept(make_picture, tmp_path: Path, format: str) -> None:
    to = tmp_path / "out"
    make(make_picture("a.png", alpha=True), to, recipe(format, size=Size(48, 32)))
    image = opened(to)
    assert image.getpoint(5, 16)[3] < 3
    assert image.getpoint(43, 16)[3] > 252


def test_transparency_becomes_white_in_jpeg(make_picture, tmp_path: Path) -> None:
    to = tmp_path / "out.jpg"
    make(make_picture("a.png", alpha=True), to, recipe("jpeg", size=Size(48, 32)))
    assert min(opened(to).getpoint(5, 16)) > 250
    assert opened(to).bands == 3


def test_invisible_colours_do_not_bleed(tmp_path: Path) -> None:
    """A red picture, whose transparent half is stored as green, stays red along the edge when it shrinks."""
    left = plain(50, 40, 0, 255, 0, 0)
    right = plain(50, 40, 255, 0, 0, 255)
    image = left.join(right, "horizontal").cast("uchar").copy(interpretation="srgb")
    source, to = tmp_path / "a.png", tmp_path / "out.png"
    source.write_bytes(image.pngsave_buffer())
    make(source, to, recipe("png", size=Size(33, 13), fit="fill"))
    small = opened(to)
    for x in range(33):
        red, green, _blue, alpha = small.getpoint(x, 6)
        assert alpha < 16 or (red > 240 and green < 16)


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_bytes_twice_and_side_by_side(make_picture, tmp_path: Path, format: str) -> None:
    source = make_picture("a.png", 700, 500, alpha=True)
    wanted = recipe(format, size=Size(600, 300), embedded={"prompt": "x"}, caption="hero")

    def made(number: int) -> bytes:
        to = tmp_path / f"out{number}"
        make(source, to, wanted)
        return to.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(made, range(6)))) == 1


PROGRAM = """
import sys
from pathlib import Path
from imgbuild.core.derivation import Recipe
from imgbuild.core.image import Operations, Size
from imgbuild.images.derive import derive
for format in ("png", "jpeg", "webp", "avif"):
    recipe = Recipe("0" * 64, format, Operations(size=Size(600, 300), caption="hero"))
    derive(Path(sys.argv[1]), [recipe], [Path(sys.argv[2], format)])
"""


def test_the_same_bytes_in_another_process_whatever_its_threads(make_picture, tmp_path: Path) -> None:
    source = make_picture("a.png", 700, 500)
    made: list[dict[str, bytes]] = []
    for threads in ("1", "8"):
        folder = tmp_path / threads
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(source), str(folder)],
            check=True,
            env={**os.environ, "VIPS_CONCURRENCY": threads},
        )
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == set(FORMATS)


def test_a_replaced_file_is_read_anew(make_picture, tmp_path: Path) -> None:
    to = tmp_path / "out.png"
    make(make_picture("a.png", 40, 30), to, recipe("png"))
    make(make_picture("a.png", 50, 20), to, recipe("png"))
    assert inspect(to).width == 50


def test_a_turned_photo_comes_out_upright(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.jpg", 1600, 1200), tmp_path / "out.png"
    image = pyvips.Image.jpegload(str(source)).copy_memory().copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    source.write_bytes(image.jpegsave_buffer())
    made = make(source, to, recipe("png"))
    assert (made.width, made.height) == (1200, 1600)
    assert opened(to).getpoint(1190, 5)[1] < 10
    make(source, to, recipe("png", size=Size(120, 160)))
    assert opened(to).getpoint(118, 1)[1] < 10


def test_other_colour_spaces_become_srgb(tmp_path: Path) -> None:
    grey, to = tmp_path / "grey.png", tmp_path / "out"
    image = plain(30, 20, 100).cast("uchar").copy(interpretation="b-w")
    grey.write_bytes(image.pngsave_buffer())
    make(grey, to, recipe("png"))
    assert opened(to).getpoint(1, 1) == [100, 100, 100]

    deep = tmp_path / "deep.png"
    image = plain(30, 20, 65535, 32896, 0).cast("ushort").copy(interpretation="rgb16")
    deep.write_bytes(image.pngsave_buffer())
    make(deep, to, recipe("png"))
    assert opened(to).format == "uchar"
    assert opened(to).getpoint(1, 1) == [255, 128, 0]

    wide = tmp_path / "wide.png"
    image = plain(30, 20, 200, 100, 50).cast("uchar").copy(interpretation="srgb")
    wide.write_bytes(image.icc_transform("p3", input_profile="srgb").pngsave_buffer(profile="p3"))
    make(wide, to, recipe("png"))
    found = opened(to)
    assert found.get_typeof("icc-profile-data") == 0
    assert all(abs(a - b) <= 2 for a, b in zip(found.getpoint(1, 1), [200, 100, 50], strict=True))

    print_colours = tmp_path / "cmyk.jpg"
    image = pyvips.Image.black(30, 20).bandjoin([0, 0, 0]).cast("uchar").copy(interpretation="cmyk")
    print_colours.write_bytes(image.jpegsave_buffer())
    make(print_colours, to, recipe("jpeg"))
    assert opened(to).bands == 3


def test_a_broken_colour_profile_does_not_stop_anything(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png"), tmp_path / "out.png"
    image = pyvips.Image.pngload(str(source)).copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"no profile at all" * 20)
    source.write_bytes(image.jpegsave_buffer())
    make(source, to, recipe("png"))
    assert inspect(to).width == 96


def test_encoder_options(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png", 200, 200), tmp_path / "out"
    low = make(source, to, recipe("webp", options={"quality": 10})).bytes
    assert low < make(source, to, recipe("webp", options={"quality": 95})).bytes
    make(source, to, recipe("webp", options={"lossless": True}))
    assert pixels(to) == pixels(source)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (recipe("png", size=Size(95, 64), fit="exact"), "96x64"),
        (recipe("bmp"), "bmp"),
        (recipe("png", options={"quality": 3}), "quality"),
        (recipe("jpeg", options={"quality": 0}), "1 to 100"),
        (recipe("jpeg", options={"quality": True}), "1 to 100"),
        (recipe("avif", options={"lossless": "yes"}), "true or false"),
        (recipe("webp", size=Size(16_384, 1)), "16384x1"),
        (recipe("png", size=Size(0, 1)), "0x1"),
        (recipe("png", size=Size(60_000, 60_000)), "60000x60000"),
    ],
)
def test_refusals_name_the_reason(make_picture, tmp_path: Path, wanted: Recipe, reason: str) -> None:
    to = tmp_path / "out"
    with pytest.raises(BadImageError, match=reason):
        make(make_picture("a.png", 96, 64), to, wanted)
    assert not to.exists()


def test_a_damaged_master_writes_nothing(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png", 300, 300), tmp_path / "out"
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 0xFF
    source.write_bytes(data)
    with pytest.raises(BadImageError):
        make(source, to, recipe("png"))
    assert not to.exists()


def test_a_place_that_cannot_be_written_is_named(make_picture, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        make(make_picture("a.png"), tmp_path / "nowhere" / "out.png", recipe("png"))


def test_the_encoder_has_a_name_and_a_version() -> None:
    assert encoder("png").startswith("libvips ")
    assert encoder("png").endswith(" png/1")
    assert encoder("avif") != encoder("png")
