"""The placeholder's cards: exact, repeatable, and readable without any font on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import make, recipe

from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.core.image import Size
from imgbuild.images.caption import draw_caption, layout
from imgbuild.images.card import card_svg, draw_card
from imgbuild.images.decode import inspect
from imgbuild.images.vips import pyvips

HOSTILE = [
    "",
    " ",
    "\x00\x1b]52;c;x\x07 \x7f",
    "\u202egnp.exe\u202c",
    "<script>alert(1)</script> & \"quotes\" 'too' ]]>",
    "x" * 5000,
    "word " * 3000,
    "🎨👩‍👩‍👧‍👦 emoji",
    "שלום עולם مرحبا",
    "e\u0301\u0301\u0301\u0301 zalgo \u0301",
    "\ud800 lone surrogate",
    "黄昏时分的城市天际线。東京の夜景",
    "Città, Łódź, Ελλάδα, Москва → 5 × 3",
]
SIZES = [(1, 1), (16, 16), (40, 16), (64, 64), (96, 72), (140, 120), (256, 256), (1200, 150), (90, 720)]


@pytest.mark.parametrize(("width", "height"), [*SIZES, (1200, 630), (8, 300), (4096, 512)])
def test_a_card_has_exactly_its_size(tmp_path: Path, width: int, height: int) -> None:
    to = tmp_path / "card"
    draw_card(Size(width, height), "a skyline at dusk", to, detail="gpt-image-2")
    facts = inspect(to)
    assert (facts.format, facts.width, facts.height, facts.alpha) == ("png", width, height, False)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [Size(16, 16), Size(64, 64), Size(300, 200)])
def test_any_words_make_a_card_and_a_caption(tmp_path: Path, text: str, size: Size) -> None:
    card, to = tmp_path / "card", tmp_path / "out.webp"
    draw_card(size, text, card, detail=text)
    make(card, to, recipe("webp", size=size, caption=text or None))
    assert inspect(to).width == size.width


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.integers(1, 2000), st.integers(1, 2000))
def test_the_drawing_is_well_formed(prompt: str, width: int, height: int) -> None:
    root = ElementTree.fromstring(card_svg(Size(width, height), prompt, prompt))
    assert root.attrib == {"width": str(width), "height": str(height)}
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "defs", "linearGradient", "stop", "rect", "circle", "path", "g", "text"}


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_the_places_lie_inside_and_apart(width: int, height: int) -> None:
    places = layout(width, height)
    boxes = [box for box in (places.caption, places.prompt, places.footer) if box is not None]
    for box in boxes:
        assert box.left >= 0
        assert box.top >= 0
        assert box.width > 0
        assert box.height > 0
        assert box.left + box.width <= width + 1e-6
        assert box.top + box.height <= height + 1e-6
    for above, below in pairwise(boxes):
        assert above.top + above.height <= below.top + 1e-6


def test_the_same_words_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_card(Size(300, 200), "sword icon", tmp_path / name)
    draw_card(Size(300, 200), "shield icon", tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("bands", [3, 4])
def test_a_caption_keeps_the_picture_around_it(bands: int) -> None:
    image = pyvips.Image.black(600, 400, bands=bands).linear(1, [40, 90, 60, 200][:bands]).cast("uchar")
    drawn = draw_caption(image.copy(interpretation="srgb"), "sprite[item=sword]")
    assert (drawn.width, drawn.height, drawn.bands, drawn.format) == (600, 400, bands, "uchar")
    assert drawn.getpoint(0, 0) == image.getpoint(0, 0)
    assert drawn.getpoint(599, 399) == image.getpoint(599, 399)
    assert drawn[0].max() > 230
    assert drawn[0].min() < 40


@pytest.mark.parametrize("size", [Size(16, 16), Size(32, 32), Size(64, 64), Size(1200, 630)])
def test_two_ids_can_be_told_apart(tmp_path: Path, size: Size) -> None:
    card = tmp_path / "card"
    draw_card(size, "icon", card)
    made = []
    for caption in ("hero", "sword"):
        make(card, tmp_path / "out", recipe("png", size=size, caption=caption))
        made.append((tmp_path / "out").read_bytes())
    assert made[0] != made[1]


PROGRAM = """
import sys
from itertools import pairwise
from pathlib import Path
from imgbuild.core.derivation import Recipe
from imgbuild.core.image import Operations, Size
from imgbuild.images.card import draw_card
from imgbuild.images.derive import derive
draw_card(Size(640, 360), sys.argv[2], Path(sys.argv[1] + ".card"), detail="low")
recipe = Recipe("0" * 64, "png", Operations(size=Size(640, 360), caption=sys.argv[2]))
derive(Path(sys.argv[1] + ".card"), [recipe], [Path(sys.argv[1])])
"""


def drawn_elsewhere(to: Path, prompt: str, **environ: str) -> bytes:
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(to), prompt], check=True, env={**os.environ, **environ}
    )
    return to.read_bytes()


def no_fonts(folder: Path) -> dict[str, str]:
    config = folder / "fonts.conf"
    config.write_text("<fontconfig></fontconfig>")
    return {"FONTCONFIG_FILE": str(config), "XDG_DATA_HOME": str(folder), "HOME": str(folder)}


def test_latin_greek_and_cyrillic_need_no_font(tmp_path: Path) -> None:
    prompt = "Skyline at dusk, Łódź, Ελλάδα, Москва"
    with_fonts = drawn_elsewhere(tmp_path / "a", prompt)
    assert drawn_elsewhere(tmp_path / "b", prompt, **no_fonts(tmp_path)) == with_fonts


def test_without_fonts_other_letters_are_boxes(tmp_path: Path) -> None:
    environ = no_fonts(tmp_path)
    picture = drawn_elsewhere(tmp_path / "a", "城市", **environ)
    assert drawn_elsewhere(tmp_path / "b", "", **environ) != picture
    image = pyvips.Image.pngload_buffer(picture)
    places = layout(640, 360)
    x, y = places.caption.centre
    inked = image.crop(int(x) - 60, int(y), 120, int(places.caption.height / 2))[0] < 100
    assert inked.avg() > 1


def test_an_impossible_size_is_refused(tmp_path: Path) -> None:
    for size in (Size(0, 10), Size(20_000, 10), Size(16_000, 16_000)):
        with pytest.raises(BadImageError, match=str(size)):
            draw_card(size, "x", tmp_path / "card")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        draw_card(Size(10, 10), "x", tmp_path / "nowhere" / "card")
