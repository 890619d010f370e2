"""The border of a picture: trimmed, padded, grown to powers of two, checked for tiling."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import make, opened, plain, raw, recipe, stored

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Size
from imgbuild.images.vips import pyvips


def shape(width: int, height: int, left: int, top: int, across: int, down: int) -> pyvips.Image:
    """A red rectangle on a transparent ground."""
    return (
        plain(width, height, 0, 0, 0, 0).insert(plain(across, down, 255, 0, 0, 255), left, top).cast("uchar")
    )


def test_a_transparent_border_is_cut_off(tmp_path: Path) -> None:
    to = tmp_path / "out.png"
    made = make(stored(shape(50, 40, 7, 5, 20, 10), tmp_path / "a.png"), to, recipe(trim=True))
    assert (made.width, made.height) == (20, 10)
    assert opened(to).getpoint(0, 0) == [255, 0, 0, 255]


def test_a_line_of_one_pixel_is_not_lost(tmp_path: Path) -> None:
    to = tmp_path / "out.png"
    made = make(stored(shape(50, 40, 7, 5, 30, 1), tmp_path / "a.png"), to, recipe(trim=True))
    assert (made.width, made.height) == (30, 1)


def test_a_border_of_the_corners_colour_is_cut_off_where_nothing_is_transparent(tmp_path: Path) -> None:
    noise = pyvips.Image.gaussnoise(60, 60, mean=0, sigma=1, seed=3)
    paper = plain(60, 60, 250, 248, 240) + noise
    drawn = paper.insert(plain(30, 20, 20, 40, 200), 12, 25)
    made = make(stored(drawn, tmp_path / "a.png"), tmp_path / "out.jpg", recipe("jpeg", trim=True))
    assert (made.width, made.height) == (30, 20)


@pytest.mark.parametrize("colour", [(0, 0, 0, 0), (255, 255, 255), (255, 255, 255, 255)])
def test_a_trim_that_leaves_nothing_is_refused(tmp_path: Path, colour: tuple[int, ...]) -> None:
    with pytest.raises(BadImageError, match="nothing is left") as error:
        make(stored(plain(30, 20, *colour), tmp_path / "a.png"), tmp_path / "out", recipe(trim=True))
    assert error.value.remedy


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 24), st.integers(1, 24), st.data())
def test_trimming_twice_is_trimming_once(width: int, height: int, data: st.DataObject) -> None:
    alphas = data.draw(
        st.lists(st.sampled_from([0, 0, 0, 2, 255]), min_size=width * height, max_size=width * height)
    )
    # Something is transparent, and something is not.
    alphas[0], alphas[-1] = 0, 255
    image = raw(width, height, b"".join(bytes([9, 99, 200, alpha]) for alpha in alphas))
    with TemporaryDirectory() as folder:
        once, twice = Path(folder, "once"), Path(folder, "twice")
        make(stored(image, Path(folder, "a")), once, recipe(trim=True))
        found = opened(once)
        assert found[3].find_trim(threshold=3, background=[0], line_art=True) == [
            0,
            0,
            found.width,
            found.height,
        ]
        if found[3].min() < 255:
            make(once, twice, recipe(trim=True))
            assert twice.read_bytes() == once.read_bytes()


def test_padding_is_transparent_and_white_in_jpeg(make_picture, tmp_path: Path) -> None:
    source = make_picture("a.png", 20, 10)
    make(source, tmp_path / "out.png", recipe(pad=3))
    found = opened(tmp_path / "out.png")
    assert found[3].find_trim(threshold=1, background=[0], line_art=True) == [3, 3, 20, 10]
    make(source, tmp_path / "out.jpg", recipe("jpeg", pad=8))
    assert min(opened(tmp_path / "out.jpg").getpoint(2, 2)) > 250


def test_powers_of_two_leave_the_picture_at_the_top_left(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png", 40, 33), tmp_path / "out.png"
    made = make(source, to, recipe(pow2=True))
    assert (made.width, made.height) == (64, 64)
    assert bytes(opened(to).crop(0, 0, 40, 33)[:3].write_to_memory()) == bytes(
        opened(source).write_to_memory()
    )
    assert opened(to)[3].find_trim(threshold=1, background=[0], line_art=True) == [0, 0, 40, 33]


def test_a_picture_that_has_such_sides_stays_as_it_is(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png", 64, 32), tmp_path / "out.png"
    make(source, to, recipe(pow2=True))
    assert bytes(opened(to).write_to_memory()) == bytes(opened(source).write_to_memory())


def waves(width: int, height: int, across: float, down: float) -> pyvips.Image:
    """A texture that tiles if both counts of waves are whole."""
    position = pyvips.Image.xyz(width, height)
    bright = (position[0] * (360 * across / width)).sin() + (position[1] * (360 * down / height)).sin()
    return bright.linear(50, 128).bandjoin([bright.linear(30, 100), 90]).cast("uchar")


@pytest.mark.parametrize(("across", "down"), [(1, 1), (3, 2), (7, 12), (0, 5)])
def test_a_texture_that_continues_itself_is_seamless(tmp_path: Path, across: int, down: int) -> None:
    source = stored(waves(128, 96, across, down), tmp_path / "a.png")
    make(source, tmp_path / "out.webp", recipe("webp", seamless=True))


@pytest.mark.parametrize(
    ("part", "edges"),
    [((10, 0, 100, 96), "left and right"), ((0, 10, 128, 70), "top and bottom"), ((10, 5, 90, 60), "left")],
)
def test_a_texture_with_a_seam_is_refused(tmp_path: Path, part: tuple[int, ...], edges: str) -> None:
    image = waves(128, 96, 1, 2).crop(*part)
    with pytest.raises(BadImageError, match=edges) as error:
        make(stored(image, tmp_path / "a.png"), tmp_path / "out.png", recipe(seamless=True))
    assert error.value.remedy


def test_a_coarse_texture_may_have_coarse_steps_at_its_edges(tmp_path: Path) -> None:
    noise = pyvips.Image.gaussnoise(64, 64, mean=128, sigma=60, seed=7)
    make(stored(noise.bandjoin([noise, noise]), tmp_path / "a.png"), tmp_path / "o", recipe(seamless=True))
    checks = pyvips.Image.xyz(64, 64)
    board = (((checks[0] / 8).floor() + (checks[1] / 8).floor()) % 2).ifthenelse(255, 0)
    make(stored(board.bandjoin([board, board]), tmp_path / "b.png"), tmp_path / "o", recipe(seamless=True))


@pytest.mark.parametrize("size", [Size(1, 1), Size(1, 9), Size(9, 1)])
def test_the_smallest_pictures_tile(tmp_path: Path, size: Size) -> None:
    source = stored(plain(size.width, size.height, 200, 10, 10, 128), tmp_path / "a.png")
    make(source, tmp_path / "out.png", recipe(seamless=True))


def test_what_is_trimmed_and_padded_is_checked_as_it_comes_out(tmp_path: Path) -> None:
    source = stored(waves(128, 96, 1, 1).crop(10, 0, 100, 96), tmp_path / "a.png")
    make(source, tmp_path / "out.png", recipe(pad=4, seamless=True))
