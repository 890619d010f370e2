"""Grids and palettes: squares of one colour, few colours, and PNG files with a table of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import FORMATS, colours, make, opened, pixels, plain, raw, recipe, stored

from imgbuild.core.errors import BadImageError
from imgbuild.images.vips import pyvips

GAME_BOY = ("#0f380f", "#306230", "#8bac0f", "#9bbc0f")
SIDES = st.integers(1, 60)
RANDOMS = st.randoms(use_true_random=False)


@contextmanager
def made_of_noise(width: int, height: int, alpha: bool, random: Any, **operations: int) -> Iterator[Path]:
    """What becomes of a picture with all kinds of pixels."""
    data = random.randbytes(width * height * (4 if alpha else 3))
    with TemporaryDirectory() as folder:
        source, to = Path(folder, "a.png"), Path(folder, "out.png")
        make(stored(raw(width, height, data), source), to, recipe(**operations))
        yield to


def noise(width: int, height: int, seed: int = 1) -> pyvips.Image:
    bands = [
        pyvips.Image.gaussnoise(width, height, mean=128, sigma=70, seed=seed + band) for band in range(3)
    ]
    return bands[0].bandjoin(bands[1:]).cast("uchar")


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, st.integers(1, 12), st.booleans(), RANDOMS)
def test_every_square_of_the_grid_has_one_colour(
    width: int, height: int, side: int, alpha: bool, random: object
) -> None:
    with made_of_noise(width, height, alpha, random, grid=side) as to:
        found = opened(to)
        assert (found.width, found.height) == (width, height)
        shown, bands = bytes(found.write_to_memory()), found.bands
        squares: dict[tuple[int, int], set[bytes]] = {}
        for at in range(width * height):
            place = (at % width // side, at // width // side)
            squares.setdefault(place, set()).add(shown[at * bands : (at + 1) * bands])
        assert all(len(square) == 1 for square in squares.values())
        if alpha:
            assert {colour[3] for colour in colours(to)} <= {0, 255}


def test_a_square_takes_the_colour_that_fills_most_of_it(tmp_path: Path) -> None:
    """Frayed pixel art comes out clean: each square is mostly one colour, with strays at its rim."""
    position = pyvips.Image.xyz(64, 64)
    board = (((position[0] / 8).floor() + (position[1] / 8).floor()) % 2).ifthenelse(
        [200, 30, 30], [20, 20, 90]
    )
    rim = (position[0] % 8 == 0) | (position[1] % 8 == 7)
    frayed = rim.ifthenelse(noise(64, 64), board)
    make(stored(frayed, tmp_path / "a.png"), tmp_path / "out.png", recipe(grid=8))
    assert (opened(tmp_path / "out.png") - board).abs().max() == 0


def test_a_square_that_is_hardly_visible_is_empty(tmp_path: Path) -> None:
    picture = plain(8, 4, 0, 0, 0, 0).insert(plain(3, 3, 9, 200, 9, 255), 0, 0)
    picture = picture.insert(plain(2, 3, 9, 9, 200, 200), 4, 0)
    make(stored(picture, tmp_path / "a.png"), tmp_path / "out.png", recipe(grid=4))
    assert colours(tmp_path / "out.png") == {bytes([9, 200, 9, 255]), bytes(4)}
    with pytest.raises(BadImageError, match="grid of 0"):
        make(tmp_path / "a.png", tmp_path / "out.png", recipe(grid=0))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 256), SIDES, SIDES, st.booleans(), RANDOMS)
def test_a_palette_leaves_at_most_so_many_colours(
    most: int, width: int, height: int, alpha: bool, random: object
) -> None:
    with made_of_noise(width, height, alpha, random, palette=most) as to:
        found = colours(to)
        assert len(found) <= most
        assert all(colour[3] == 255 or colour == bytes(4) for colour in found)


def test_a_palette_of_many_colours_is_used_and_comes_close(tmp_path: Path) -> None:
    to = tmp_path / "out.png"
    source = stored(noise(300, 200), tmp_path / "a.png")
    errors = []
    for most in (4, 32, 256):
        make(source, to, recipe(palette=most))
        assert most * 0.9 <= len(colours(to)) <= most
        errors.append((opened(to) - opened(source)).abs().avg())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 14


def test_few_colours_stay_exactly_what_they_are(tmp_path: Path) -> None:
    drawn = (
        plain(40, 40, 1, 2, 3).insert(plain(10, 10, 250, 128, 7), 5, 5).insert(plain(3, 3, 251, 128, 7), 5, 5)
    )
    make(stored(drawn, tmp_path / "a.png"), tmp_path / "out.png", recipe(palette=3))
    assert (opened(tmp_path / "out.png")[:3] - drawn).abs().max() == 0
    make(tmp_path / "a.png", tmp_path / "out.png", recipe(palette=2))
    # The two that nobody tells apart become one.
    found = opened(tmp_path / "out.png")
    assert found.getpoint(0, 0)[:3] == [1, 2, 3]
    assert found.getpoint(6, 6)[:3] == found.getpoint(12, 12)[:3]


def test_given_colours_are_the_only_ones_and_the_nearest_is_taken(tmp_path: Path) -> None:
    source, to = stored(noise(120, 80), tmp_path / "a.png"), tmp_path / "out.png"
    make(source, to, recipe(palette=GAME_BOY))
    assert colours(to) == {bytes.fromhex(colour[1:]) + b"\xff" for colour in GAME_BOY}
    make(source, to, recipe(palette=("#ffffff", "#000000")))
    # In Oklab, as to the eye, the middle grey is darker than half of 255.
    ramp = pyvips.Image.xyz(256, 1)[0].bandjoin([pyvips.Image.xyz(256, 1)[0]] * 2)
    make(stored(ramp, tmp_path / "ramp.png"), to, recipe(palette=("#ffffff", "#000000")))
    dark = sum(value == 0 for value in bytes(opened(to)[0].write_to_memory()))
    assert dark == 100


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=64, unique=True))
def test_colours_of_the_palette_are_their_own_nearest(palette: list[tuple[int, int, int]]) -> None:
    with TemporaryDirectory() as folder:
        source, to = Path(folder, "a.png"), Path(folder, "out.png")
        strip = raw(len(palette), 1, b"".join(map(bytes, palette)))
        named = tuple("#" + bytes(colour).hex() for colour in palette)
        make(stored(strip, source), to, recipe(palette=named))
        assert pixels(to) == pixels(source)


def test_half_transparent_pixels_become_one_or_the_other(tmp_path: Path) -> None:
    fading = plain(256, 1, 200, 40, 40).bandjoin(pyvips.Image.xyz(256, 1)[0])
    for palette in (8, ("#c82828",)):
        make(stored(fading, tmp_path / "a.png"), tmp_path / "out.png", recipe(palette=palette))
        assert colours(tmp_path / "out.png") == {bytes(4), bytes([200, 40, 40, 255])}
        assert opened(tmp_path / "out.png")[3].avg() == 127.5


@pytest.mark.parametrize("palette", [0, -3, 257, (), ("#00",), ("red",), ("#000000",) * 257])
def test_a_palette_that_cannot_be_is_refused(make_picture, tmp_path: Path, palette: object) -> None:
    with pytest.raises(BadImageError) as error:
        make(make_picture("a.png"), tmp_path / "out", recipe(palette=palette))
    assert error.value.remedy


@pytest.mark.parametrize("border", [{"pad": 1}, {"pow2": True}])
def test_a_border_is_one_of_the_colours(tmp_path: Path, border: dict[str, object]) -> None:
    source, to = stored(noise(60, 40), tmp_path / "a.png"), tmp_path / "out.png"
    make(source, to, recipe(palette=256, **border))
    assert bytes(4) in colours(to)
    assert len(colours(to)) <= 256
    assert to.read_bytes()[25] == 3


def test_transparency_needs_a_colour_of_its_own(make_picture, tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match="palette of 1"):
        make(make_picture("a.png", alpha=True), tmp_path / "out", recipe(palette=1))


@pytest.mark.parametrize(("most", "depth"), [(2, 1), (4, 2), (16, 4), (256, 8)])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_png_of_few_colours_has_a_table_of_them(
    make_picture, tmp_path: Path, most: int, depth: int, alpha: bool
) -> None:
    source, to = make_picture("a.png", 97, 61, alpha=alpha), tmp_path / "out.png"
    made = make(source, to, recipe(palette=most))
    data = to.read_bytes()
    assert data[24:26] == bytes([depth, 3])
    make(source, tmp_path / "out.webp", recipe("webp", palette=most, options={"lossless": True}))
    lossless = opened(tmp_path / "out.webp")
    shown = opened(to)
    assert (shown - (lossless if shown.hasalpha() else lossless[:3])).abs().max() == 0
    assert shown.hasalpha() == alpha
    if most <= 16:
        assert made.bytes < source.stat().st_size


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.data())
def test_a_table_of_colours_changes_no_pixel(width: int, height: int, data: st.DataObject) -> None:
    few = data.draw(st.lists(st.binary(min_size=3, max_size=3), min_size=1, max_size=256))
    picked = data.draw(st.lists(st.sampled_from(few), min_size=width * height, max_size=width * height))
    with TemporaryDirectory() as folder:
        source, to = Path(folder, "a.png"), Path(folder, "out.png")
        make(stored(raw(width, height, b"".join(picked)), source), to, recipe(palette=256))
        assert to.read_bytes()[25] == 3
        assert pixels(to) == pixels(source)


@pytest.mark.parametrize("format", FORMATS)
def test_a_sprite_goes_all_the_way(tmp_path: Path, format: str) -> None:
    position = pyvips.Image.xyz(128, 128) - 64
    disc = (position[0] * position[0] + position[1] * position[1]) < 40 * 40
    drawn = disc.ifthenelse(noise(128, 128), [0, 255, 0])
    wanted = recipe(
        format, alpha="#00ff00", grid=8, trim=True, scale=1 / 8, kernel="nearest", palette=8, pad=1, pow2=True
    )
    made = make(stored(drawn, tmp_path / "a.png"), tmp_path / "out", wanted)
    assert (made.width, made.height) == (16, 16)
    if format == "png":
        assert len(colours(tmp_path / "out")) <= 8
