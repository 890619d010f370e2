"""Encoder options: what each format takes is said before anything is encoded, and does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import FORMATS, make, opened, pattern, pixels, recipe, stored

from imgbuild.core.encoding import ENCODER_OPTIONS, option_problem
from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Json
from imgbuild.images.vips import pyvips

JSON = st.none() | st.booleans() | st.integers(-5, 105) | st.floats(allow_nan=False) | st.text(max_size=4)
NAMES = st.sampled_from(["quality", "lossless", "effort", "progressive", "speed"])


@given(st.sampled_from([*FORMATS, "gif"]), st.dictionaries(NAMES, JSON, max_size=3))
def test_options_are_used_or_refused_with_the_same_words(format: str, options: dict[str, Json]) -> None:
    problem = option_problem(format, options)
    if problem is None:
        assert set(options) <= set(ENCODER_OPTIONS[format])
    else:
        assert problem.strip() == problem
        assert "\n" not in problem


@pytest.mark.parametrize(
    ("format", "options", "words"),
    [
        ("png", {"quality": 80}, "png has no encoder option"),
        ("jpeg", {"effort": 3}, 'no encoder option "effort": it takes progressive and quality'),
        ("webp", {"effort": 7}, "effort of webp must be a whole number from 0 to 6, not 7"),
        ("avif", {"effort": 10}, "from 0 to 9"),
        ("avif", {"quality": 0}, "from 1 to 100"),
        ("jpeg", {"quality": True}, "from 1 to 100"),
        ("webp", {"quality": 80.5}, "whole number"),
        ("webp", {"lossless": "yes"}, "true or false"),
        ("jpeg", {"progressive": 1}, "true or false"),
        ("bmp", {}, "png, jpeg, webp and avif"),
    ],
)
def test_a_bad_option_is_named(
    make_picture, tmp_path: Path, format: str, options: dict[str, Json], words: str
) -> None:
    assert words in (option_problem(format, options) or "")
    with pytest.raises(BadImageError) as error:
        make(make_picture("a.png"), tmp_path / "out", recipe(format, options=options))
    assert words in error.value.message
    assert error.value.remedy


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_quality_costs_bytes(tmp_path: Path, format: str) -> None:
    source = stored(
        pattern(200, 200) + pyvips.Image.gaussnoise(200, 200, mean=0, sigma=9, seed=1), tmp_path / "a"
    )
    sizes = [
        make(source, tmp_path / "out", recipe(format, options={"quality": quality})).bytes
        for quality in (20, 60, 95)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("format", ["webp", "avif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_changes_no_pixel(make_picture, tmp_path: Path, format: str, alpha: bool) -> None:
    source = make_picture("a.png", 90, 70, alpha=alpha)
    make(source, tmp_path / "out", recipe(format, options={"lossless": True}))
    shown, master = opened(tmp_path / "out"), opened(source)
    if alpha:
        # What cannot be seen may change.
        visible = master[3] > 0
        shown, master = (visible.ifthenelse(image, 0) for image in (shown, master))
    assert (shown - master).abs().max() == 0


@pytest.mark.parametrize("format", ["webp", "avif"])
def test_effort_changes_the_bytes_and_the_default_is_four(make_picture, tmp_path: Path, format: str) -> None:
    source, made = make_picture("a.png", 200, 200), {}
    for effort in (None, 0, 4):
        options: dict[str, Json] = {} if effort is None else {"effort": effort}
        make(source, tmp_path / "out", recipe(format, options=options))
        made[effort] = (tmp_path / "out").read_bytes()
    assert made[None] == made[4] != made[0]


def test_jpeg_is_progressive_unless_it_must_not_be(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png", 200, 200), tmp_path / "out"
    make(source, to, recipe("jpeg"))
    shown = pixels(to)
    assert b"\xff\xc2" in to.read_bytes()
    make(source, to, recipe("jpeg", options={"progressive": False}))
    assert b"\xff\xc0" in to.read_bytes()
    assert pixels(to) == shown
