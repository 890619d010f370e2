"""Sizes come out exactly as declared, whatever is done before and after."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import make, opened, plain, recipe, stored

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import KERNELS, Fit, Size
from imgbuild.images.vips import pyvips

SIDES = st.integers(1, 80)
SIZES = st.builds(Size, SIDES, SIDES)


def size_of(source: Size, **operations: object) -> Size:
    """The size in which a plain master of `source` pixels comes out, as a file on disk."""
    with TemporaryDirectory() as folder:
        master, to = Path(folder, "master.png"), Path(folder, "out.png")
        stored(plain(source.width, source.height, 200, 90, 30), master)
        made = make(master, to, recipe(**operations))
        image = opened(to)
        assert (made.width, made.height) == (image.width, image.height)
        return Size(image.width, image.height)


@settings(max_examples=60, deadline=None)
@given(
    source=SIZES,
    target=SIZES,
    fit=st.sampled_from(["cover", "contain", "fill"]),
    kernel=st.sampled_from([None, *KERNELS]),
)
def test_size_is_exact(source: Size, target: Size, fit: Fit, kernel: str | None) -> None:
    assert size_of(source, size=target, fit=fit, kernel=kernel) == target


@settings(max_examples=60, deadline=None)
@given(source=SIZES, width=SIDES, kernel=st.sampled_from([None, *KERNELS]))
def test_width_is_exact_and_the_height_follows(source: Size, width: int, kernel: str | None) -> None:
    made = size_of(source, width=width, kernel=kernel)
    assert made == Size(width, max(1, round(source.height * width / source.width)))


@settings(max_examples=60, deadline=None)
@given(source=SIZES, scale=st.floats(0.01, 5), kernel=st.sampled_from([None, *KERNELS]))
def test_scale_multiplies_both_sides(source: Size, scale: float, kernel: str | None) -> None:
    made = size_of(source, scale=scale, kernel=kernel)
    assert made == Size(max(1, round(source.width * scale)), max(1, round(source.height * scale)))


@settings(max_examples=40, deadline=None)
@given(source=SIZES, by=st.integers(0, 40))
def test_padding_is_added_on_every_side(source: Size, by: int) -> None:
    assert size_of(source, pad=by) == Size(source.width + 2 * by, source.height + 2 * by)


@settings(max_examples=40, deadline=None)
@given(source=SIZES, by=st.integers(0, 20))
def test_powers_of_two_are_the_next_ones_after_padding(source: Size, by: int) -> None:
    made = size_of(source, pad=by, pow2=True)
    for side, before in ((made.width, source.width), (made.height, source.height)):
        assert side & (side - 1) == 0
        assert side // 2 < before + 2 * by <= side


def test_nearest_gives_back_pixels_that_were_enlarged(make_picture, tmp_path: Path) -> None:
    source, large, small = make_picture("a.png", 24, 16, alpha=True), tmp_path / "large", tmp_path / "small"
    make(source, large, recipe(scale=4, kernel="nearest"))
    make(large, small, recipe(scale=0.25, kernel="nearest"))
    assert opened(small).write_to_memory()[:] == opened(source).write_to_memory()[:]


def test_nearest_invents_no_colour(tmp_path: Path) -> None:
    board = (pyvips.Image.xyz(40, 40)[0] % 2).ifthenelse([255, 0, 0], [0, 0, 255])
    to = tmp_path / "out.png"
    make(stored(board, tmp_path / "board.png"), to, recipe(size=Size(27, 13), kernel="nearest"))
    found = opened(to)
    assert found[1].max() == 0
    assert (found[0] + found[2]).min() == (found[0] + found[2]).max() == 255


def test_kernels_sample_differently(make_picture, tmp_path: Path) -> None:
    checks = (pyvips.Image.xyz(64, 64)[0] % 7 > 3).ifthenelse(255, 0).bandjoin([0, 0])
    source = stored(checks, tmp_path / "checks.png")
    made = set()
    for kernel in KERNELS:
        make(source, tmp_path / "out.png", recipe(width=25, kernel=kernel))
        made.add(bytes(opened(tmp_path / "out.png").write_to_memory()))
    assert len(made) == len(KERNELS)
    make(source, tmp_path / "out.png", recipe(width=25))
    assert bytes(opened(tmp_path / "out.png").write_to_memory()) in made


def test_a_jpeg_is_sampled_with_the_kernel_that_was_asked_for(make_picture, tmp_path: Path) -> None:
    """The decoder could shrink it cheaply, but with a filter of its own."""
    stripes = (pyvips.Image.xyz(640, 64)[0] % 16 < 8).ifthenelse(255, 0).bandjoin([0, 0])
    source, to = tmp_path / "stripes.jpg", tmp_path / "out.png"
    source.write_bytes(
        stripes.cast("uchar").copy(interpretation="srgb").jpegsave_buffer(Q=100, subsample_mode="off")
    )
    make(source, to, recipe(scale=1 / 8, kernel="nearest"))
    red = opened(to)[0]
    assert ((red < 40) | (red > 215)).min() == 255


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ({"width": 0}, "0x"),
        ({"width": 100_000}, "100000x"),
        ({"scale": 1e300}, "cannot be made"),
        ({"scale": 1e9, "kernel": "nearest"}, "cannot be made"),
        ({"pad": 9_000}, "18096x18064"),
        ({"pad": -1}, "-1"),
        ({"kernel": "bicubic"}, "no kernel"),
        ({"width": 10, "scale": 2.0}, "exclude"),
        ({"size": Size(10, 10), "width": 10}, "exclude"),
        ({"size": Size(10, 10), "focus": "0.5"}, "no focus"),
        ({"size": Size(10, 10), "focus": "2,0"}, "no focus"),
        ({"size": Size(10, 10), "focus": "nan,0"}, "no focus"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_remedy(
    make_picture, tmp_path: Path, operations: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadImageError, match=reason) as error:
        make(make_picture("a.png", 96, 64), tmp_path / "out", recipe(**operations))
    assert error.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_picture_too_large_for_webp_is_refused_before_anything_is_encoded(
    make_picture, tmp_path: Path
) -> None:
    with pytest.raises(BadImageError, match="webp"):
        make(make_picture("a.png", 5, 5), tmp_path / "out", recipe("webp", size=Size(9000, 4), pow2=True))
