"""What a crop keeps: the middle, a point, or what libvips finds interesting."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import make, opened, plain, recipe, stored

from imgbuild.core.image import Size
from imgbuild.images.fit import Placement, framed
from imgbuild.images.vips import pyvips


def ruler(width: int, height: int) -> pyvips.Image:
    """Red is the column, green the row."""
    position = pyvips.Image.xyz(width, height)
    return position[0].bandjoin([position[1], 0]).cast("uchar").copy(interpretation="srgb")


def corner(width: int, height: int, size: Size, focus: str | None) -> tuple[int, int]:
    """Where in a picture of width x height pixels a crop of `size` starts."""
    centred = Placement(Size(width, height), (size.width - width) // 2, (size.height - height) // 2)
    left, top, _ = framed(ruler(width, height), centred, size, focus).getpoint(0, 0)
    return int(left), int(top)


@pytest.mark.parametrize(
    ("focus", "expected"),
    [
        ("0,0", (0, 0)),
        ("1,1", (60, 40)),
        ("0.5,0.5", (30, 20)),
        ("0.5,0", (30, 0)),
        ("0.25,0.75", (5, 40)),
        (None, (30, 20)),
    ],
)
def test_a_point_comes_as_near_to_the_middle_as_the_edges_allow(
    focus: str | None, expected: tuple[int, int]
) -> None:
    assert corner(100, 80, Size(40, 40), focus) == expected


@given(st.integers(2, 90), st.integers(2, 90), st.data())
def test_the_middle_is_the_default(width: int, height: int, data: st.DataObject) -> None:
    size = Size(data.draw(st.integers(1, width - 1)), data.draw(st.integers(1, height - 1)))
    assert corner(width, height, size, "0.5,0.5") == corner(width, height, size, None)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 60), st.integers(1, 60))
def test_a_point_stays_in_the_picture(x: float, y: float, width: int, height: int) -> None:
    left, top = corner(60, 60, Size(width, height), f"{x},{y}")
    assert 0 <= left <= 60 - width
    assert 0 <= top <= 60 - height


@pytest.mark.parametrize("focus", ["attention", "entropy"])
def test_the_interesting_part_is_kept(tmp_path: Path, focus: str) -> None:
    noise = pyvips.Image.gaussnoise(60, 60, mean=128, sigma=60, seed=1)
    spot = noise.bandjoin([noise * 0.2, noise * 0.1]).cast("uchar")
    wide = plain(400, 100, 230, 230, 235).cast("uchar").insert(spot, 320, 20)
    to = tmp_path / "out.png"
    make(stored(wide, tmp_path / "wide.png"), to, recipe(size=Size(100, 100), focus=focus))
    assert opened(to)[2].min() < 60
    make(tmp_path / "wide.png", to, recipe(size=Size(100, 100)))
    assert opened(to)[2].min() > 200


@pytest.mark.parametrize("focus", ["attention", "entropy", "0.1,0.9"])
def test_transparent_pictures_can_be_cropped_too(make_picture, tmp_path: Path, focus: str) -> None:
    to = tmp_path / "out.png"
    make(make_picture("a.png", 200, 60, alpha=True), to, recipe(size=Size(50, 50), focus=focus))
    assert (opened(to).width, opened(to).height, opened(to).bands) == (50, 50, 4)
