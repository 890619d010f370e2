"""Atlas pages: every sprite's pixels are where the layout says, untouched, and nothing else is there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from imgbuild.core.atlas.frame import AtlasOptions, Frame, Layout, Sprite
from imgbuild.core.atlas.layout import lay_out
from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.core.image import Size
from imgbuild.images.atlas import FORMATS, compose, trimmed
from imgbuild.images.decode import inspect
from imgbuild.images.vips import pyvips

Pixel = tuple[int, int, int, int]


def save(path: Path, image: pyvips.Image) -> Path:
    path.write_bytes(image.pngsave_buffer())
    return path


def noise(width: int, height: int, seed: int) -> pyvips.Image:
    """Every pixel is another one, and none is empty."""
    chance = random.Random(seed)
    data = bytes(chance.randint(1, 255) for _ in range(4 * width * height))
    image = pyvips.Image.new_from_memory(data, width, height, 4, "uchar")
    return image.copy(interpretation="srgb")


def pixels(path: Path) -> tuple[Size, bytes]:
    loader = {"png": "pngload", "webp": "webpload"}[inspect(path).format]
    image = getattr(pyvips.Image, loader)(str(path))
    image = image if image.hasalpha() else image.addalpha()
    return Size(image.width, image.height), bytes(image.write_to_memory())


def at(picture: tuple[Size, bytes], x: int, y: int) -> Pixel:
    size, data = picture
    start = 4 * (y * size.width + x)
    red, green, blue, alpha = data[start : start + 4]
    return red, green, blue, alpha


def on_page(frame: Frame, x: int, y: int) -> tuple[int, int]:
    """Where the pixel (x, y) of the upright frame lies on its page."""
    if frame.turn == 90:
        return frame.x + frame.width - 1 - y, frame.y + x
    if frame.turn == 270:
        return frame.x + y, frame.y + frame.height - 1 - x
    return frame.x + x, frame.y + y


@pytest.fixture
def sprites(tmp_path: Path) -> Mapping[str, Path]:
    """Tall, flat and square ones, with and without an empty border."""
    sizes = [(6, 40), (40, 6), (20, 20), (1, 1), (33, 5), (5, 33), (17, 18), (40, 7)]
    files = {}
    for number, (width, height) in enumerate(sizes):
        image = noise(width, height, number)
        if number % 2:
            image = image.embed(3, 2, width + 4, height + 7)
        files[f"s[n={number}]"] = save(tmp_path / f"{number}.png", image)
    return files


def laid_out(files: Mapping[str, Path], **more: object) -> Layout:
    options = AtlasOptions("a", "a.png", "a.json", **more)
    return lay_out({name: trimmed(file) for name, file in files.items()}, options)


@pytest.mark.parametrize("extrude", [0, 2])
@pytest.mark.parametrize("format", ["texturepacker-hash", "libgdx", "css"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_pixel_is_where_the_layout_says(
    sprites: Mapping[str, Path], tmp_path: Path, extrude: int, format: str, file_format: str
) -> None:
    layout = laid_out(sprites, extrude=extrude, padding=1, format=format, rotate=format != "css", max_size=48)
    assert len(layout.pages) > 1
    assert format == "css" or any(frame.turn for frame in layout.frames)
    for number, size in enumerate(layout.pages):
        to = tmp_path / "page"
        made = compose(layout, number, sprites, to, file_format)
        assert (made.width, made.height, made.format) == (size.width, size.height, file_format)
        page = pixels(to)
        assert page[0] == size
        drawn = set()
        for frame in layout.on_page(number):
            whole = pixels(sprites[frame.name])
            upright = frame.upright
            for y in range(-extrude, upright.height + extrude):
                for x in range(-extrude, upright.width + extrude):
                    inner = min(max(x, 0), upright.width - 1), min(max(y, 0), upright.height - 1)
                    place = on_page(frame, x, y)
                    assert at(page, *place) == at(whole, frame.left + inner[0], frame.top + inner[1])
                    drawn.add(place)
        empty = {(x, y) for x in range(size.width) for y in range(size.height)} - drawn
        assert {at(page, *place)[3] for place in empty} <= {0}


def test_the_same_layout_gives_the_same_bytes(sprites: Mapping[str, Path], tmp_path: Path) -> None:
    for format in FORMATS:
        layout = laid_out(sprites, extrude=1)
        compose(layout, 0, sprites, tmp_path / "one", format)
        compose(layout, 0, dict(reversed(sprites.items())), tmp_path / "two", format)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_a_page_says_that_a_model_made_it(sprites: Mapping[str, Path], tmp_path: Path, format: str) -> None:
    compose(laid_out(sprites), 0, sprites, tmp_path / "page", format)
    assert b"trainedAlgorithmicMedia" in (tmp_path / "page").read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.avif", "a.gif"])
def test_every_format_of_output_can_be_a_sprite(make_picture, tmp_path: Path, name: str) -> None:
    file = make_picture(name, 24, 16)
    layout = lay_out({"a": trimmed(file)}, AtlasOptions("a", "a.png", "a.json", extrude=1))
    compose(layout, 0, {"a": file}, tmp_path / "page", "png")
    page = pixels(tmp_path / "page")
    assert page[0] == Size(26, 18)
    assert at(page, 0, 0) == at(page, 1, 1)
    assert at(page, 1, 1)[3] == 255
    assert at(page, 24, 8)[0] > 200


def test_an_empty_border_is_measured_to_the_pixel(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", noise(1, 1, 1).embed(7, 3, 20, 10))
    assert trimmed(file) == Sprite(Size(20, 10), Size(1, 1), 7, 3)


def test_faint_pixels_are_not_cut_off(tmp_path: Path) -> None:
    faint = pyvips.Image.new_from_memory(bytes([9, 9, 9, 1]), 1, 1, 4, "uchar").copy(interpretation="srgb")
    far = faint.embed(19, 9, 20, 10)
    file = save(tmp_path / "a.png", far.insert(noise(2, 2, 1), 5, 4))
    assert trimmed(file) == Sprite(Size(20, 10), Size(15, 6), 5, 4)


def test_a_picture_without_transparency_is_whole(make_picture) -> None:
    assert trimmed(make_picture("a.jpg", 30, 20)) == Sprite(Size(30, 20), Size(30, 20))


def test_an_empty_picture_keeps_one_pixel(tmp_path: Path) -> None:
    empty = pyvips.Image.black(12, 9, bands=4).copy(interpretation="srgb")
    file = save(tmp_path / "a.png", empty)
    layout = lay_out({"a": trimmed(file)}, AtlasOptions("a", "a.png", "a.json"))
    assert (layout.frames[0].source, layout.frames[0].upright) == (Size(12, 9), Size(1, 1))
    compose(layout, 0, {"a": file}, tmp_path / "page", "png")
    assert at(pixels(tmp_path / "page"), 0, 0)[3] == 0


def test_a_file_that_changed_meanwhile_is_named(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", noise(8, 8, 1))
    layout = lay_out({"sword": trimmed(file)}, AtlasOptions("a", "a.png", "a.json"))
    save(file, noise(9, 8, 1))
    with pytest.raises(BadImageError, match='"sword" has 9x8 pixels, and was laid out as 8x8') as caught:
        compose(layout, 0, {"sword": file}, tmp_path / "page", "png")
    assert caught.value.remedy
    assert not (tmp_path / "page").exists()


def test_a_sprite_that_is_no_picture_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"not a picture")
    with pytest.raises(BadImageError):
        trimmed(file)
    with pytest.raises(StorageError):
        trimmed(tmp_path / "none.png")


def test_a_folder_that_is_gone_is_an_error(sprites: Mapping[str, Path], tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        compose(laid_out(sprites), 0, sprites, tmp_path / "none" / "page", "png")


def test_a_page_that_the_format_cannot_hold_is_an_error(tmp_path: Path) -> None:
    layout = Layout((Size(16_384, 1),), ())
    with pytest.raises(BadImageError, match="16384x1 pixels cannot be written as webp"):
        compose(layout, 0, {}, tmp_path / "page", "webp")
