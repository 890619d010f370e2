"""A key colour is cut out so that the rest looks right on any ground."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import make, opened, plain, recipe, stored

from imgbuild.core.errors import BadImageError
from imgbuild.images.vips import pyvips

KEYS = {"#00ff00": [14, 243, 20], "#ff00ff": [244, 16, 240], "#0000ff": [12, 20, 246]}
"""Colours that are asked for, and what a service paints instead."""


def drawn(softness: float) -> tuple[pyvips.Image, pyvips.Image]:
    """A disc in three colours, and how much of each pixel it covers."""
    x, y = (pyvips.Image.xyz(160, 160) - 80)[0:2]
    far = (x * x + y * y) ** 0.5
    cover = (far < 56).ifthenelse(1.0, 0.0).cast("float").gaussblur(softness)
    sides = (x > 0).ifthenelse([250, 220, 80], [40, 34, 44])
    return (far < 24).ifthenelse([200, 60, 40], sides).cast("float"), cover


def on(ground: list[int], colours: pyvips.Image, cover: pyvips.Image) -> pyvips.Image:
    return colours * cover + plain(colours.width, colours.height, *ground) * (1 - cover)


def cut_on(ground: list[int], path: Path) -> pyvips.Image:
    image = opened(path)
    return on(ground, image[:3], image[3] / 255)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("softness", [0.7, 1.2, 2.0])
def test_edges_look_right_on_any_ground(tmp_path: Path, key: str, softness: float) -> None:
    colours, cover = drawn(softness)
    grain = pyvips.Image.gaussnoise(160, 160, mean=0, sigma=3, seed=1)
    source = stored(on(KEYS[key], colours, cover) + grain, tmp_path / "a.png")
    make(source, tmp_path / "out.png", recipe(alpha=key))
    edge = (cover > 0.02) & (cover < 0.98)
    for ground in ([255, 255, 255], [0, 0, 0], [120, 120, 120]):
        wrong = (cut_on(ground, tmp_path / "out.png") - on(ground, colours, cover)).abs().bandmean()
        assert edge.ifthenelse(wrong, 0).avg() / (edge.avg() / 255) < 14
        assert wrong.avg() < 3
    spill = (on([255, 255, 255], colours, cover) - on(KEYS[key], colours, cover)).abs().bandmean()
    # What is left of the key is a small part of what was there.
    left = (
        (cut_on([255, 255, 255], tmp_path / "out.png") - on([255, 255, 255], colours, cover)).abs().bandmean()
    )
    assert edge.ifthenelse(left, 0).avg() < edge.ifthenelse(spill, 0).avg() / 4


def test_the_ground_is_empty_and_the_inside_untouched(tmp_path: Path) -> None:
    colours, cover = drawn(1.0)
    picture = on(KEYS["#00ff00"], colours, cover)
    make(stored(picture, tmp_path / "a.png"), tmp_path / "out.png", recipe(alpha="#00ff00"))
    found = opened(tmp_path / "out.png")
    assert found.crop(0, 0, 160, 16).max() == 0
    inside = found.crop(50, 50, 60, 60)
    assert inside[3].min() == 255
    assert (inside[:3] - picture.rint().crop(50, 50, 60, 60)).abs().max() == 0


def test_an_uneven_ground_is_empty_too(tmp_path: Path) -> None:
    """Services shade what should be one plain colour."""
    across = pyvips.Image.xyz(160, 160)[0] / 160
    colours, cover = drawn(1.0)
    shaded = (across * 22).bandjoin([across * -50 + 250, across * 30])
    picture = colours * cover + shaded * (1 - cover)
    make(stored(picture.rint(), tmp_path / "a.png"), tmp_path / "out.png", recipe(alpha="#00ff00"))
    found = opened(tmp_path / "out.png")
    assert found.crop(0, 0, 160, 16).max() == 0
    assert found.crop(0, 0, 16, 160).max() == 0
    assert found.crop(144, 0, 16, 160).max() == 0
    assert found.crop(50, 50, 60, 60)[3].min() == 255


def test_holes_are_cut_out_too(tmp_path: Path) -> None:
    ring = (
        plain(60, 60, 0, 255, 0)
        .insert(plain(40, 40, 200, 20, 20), 10, 10)
        .insert(plain(10, 10, 0, 255, 0), 25, 25)
    )
    make(stored(ring, tmp_path / "a.png"), tmp_path / "out.png", recipe(alpha="#00ff00"))
    found = opened(tmp_path / "out.png")
    assert found.getpoint(30, 30) == [0, 0, 0, 0]
    assert found.getpoint(15, 15) == [200, 20, 20, 255]


def test_transparency_that_is_there_already_stays(tmp_path: Path) -> None:
    picture = plain(40, 40, 0, 255, 0, 255).insert(plain(20, 40, 200, 20, 20, 90), 0, 0)
    make(stored(picture, tmp_path / "a.png"), tmp_path / "out.png", recipe(alpha="#00ff00"))
    found = opened(tmp_path / "out.png")
    assert found.getpoint(5, 20) == [200, 20, 20, 90]
    assert found.getpoint(35, 20)[3] == 0


@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_pictures_smaller_than_an_edge(tmp_path: Path, side: int) -> None:
    make(
        stored(plain(side, side, 0, 255, 0), tmp_path / "a.png"),
        tmp_path / "out.png",
        recipe(alpha="#00ff00"),
    )
    assert opened(tmp_path / "out.png")[3].max() == 0


@pytest.mark.parametrize("key", ["#00ff00", "#0000ff"])
def test_a_key_colour_that_is_nowhere_is_refused(make_picture, tmp_path: Path, key: str) -> None:
    source = stored(plain(50, 50, 230, 225, 220), tmp_path / "a.png")
    with pytest.raises(BadImageError, match=key) as error:
        make(source, tmp_path / "out.png", recipe(alpha=key))
    assert error.value.remedy
    assert key in error.value.remedy


@pytest.mark.parametrize("key", ["green", "#0f0", "#00ff0g", ""])
def test_what_is_no_colour_is_refused(make_picture, tmp_path: Path, key: str) -> None:
    with pytest.raises(BadImageError, match="no colour"):
        make(make_picture("a.png"), tmp_path / "out.png", recipe(alpha=key))


def test_native_transparency_is_required_and_kept(make_picture, tmp_path: Path) -> None:
    to = tmp_path / "out.png"
    make(make_picture("a.png", alpha=True), to, recipe(alpha="native"))
    assert bytes(opened(to).write_to_memory()) == bytes(opened(tmp_path / "a.png").write_to_memory())
    for opaque in (make_picture("b.png"), stored(plain(9, 9, 1, 2, 3, 255), tmp_path / "c.png")):
        with pytest.raises(BadImageError, match="no transparency"):
            make(opaque, to, recipe(alpha="native"))


def test_a_cut_out_picture_can_be_trimmed_to_its_subject(tmp_path: Path) -> None:
    colours, cover = drawn(1.0)
    source = stored(on(KEYS["#ff00ff"], colours, cover), tmp_path / "a.png")
    made = make(source, tmp_path / "out.webp", recipe("webp", alpha="#ff00ff", trim=True))
    assert 110 <= made.width == made.height <= 120
