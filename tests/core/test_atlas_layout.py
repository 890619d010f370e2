"""Where sprites lie in an atlas, what they are called, and which animation they belong to."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.atlas.frame import AtlasOptions, Sprite, page_path
from imgbuild.core.atlas.layout import animation_of, lay_out
from imgbuild.core.errors import UsageError
from imgbuild.core.image import Size

words = st.text(
    st.characters(exclude_characters="[],=", exclude_categories=("C", "Z")), min_size=1, max_size=6
)


def sprite(width: int, height: int) -> Sprite:
    return Sprite(Size(width, height), Size(width, height))


def options(**given: object) -> AtlasOptions:
    return AtlasOptions("icons", "assets/icons.png", "assets/icons.json", **given)


@pytest.mark.parametrize(
    ("id", "found"),
    [
        ("walk[dir=left,frame=3]", ("walk[dir=left]", 3)),
        ("walk[frame=12]", ("walk", 12)),
        ("walk[frame=007,zone=a]", ("walk[zone=a]", 7)),
        ("hero/walk[a=1,frame=2,z=3]", ("hero/walk[a=1,z=3]", 2)),
        ("walk[dir=up, frame=not,frame=2]", ("walk[dir=up, frame=not]", 2)),
        ("walk", None),
        ("frame=3", None),
        ("walk[dir=left]", None),
        ("walk[frame=first]", None),
        ("walk[frame=-1]", None),
        ("walk[frame=1.5]", None),
        ("walk[keyframe=3]", None),
        ("walk[dir=frame=3]", None),
        ("post[2026-frame]", None),
    ],
)
def test_a_numbered_axis_makes_frames_of_an_animation(id: str, found: tuple[str, int] | None) -> None:
    assert animation_of(id, "frame") == found


@given(words, st.dictionaries(words, words, max_size=3), st.integers(0, 999_999_999))
def test_the_axis_is_found_wherever_it_stands(name: str, others: dict[str, str], number: int) -> None:
    others.pop("step", None)
    parts = [f"{axis}={value}" for axis, value in sorted(others.items())]
    rest = f"{name}[{','.join(parts)}]" if parts else name
    for at in range(len(parts) + 1):
        id = f"{name}[{','.join([*parts[:at], f'step={number}', *parts[at:]])}]"
        assert animation_of(id, "step") == (rest, number)


def test_frames_are_listed_by_number_not_by_spelling() -> None:
    sprites = {f"walk[frame={n}]": sprite(8, 8) for n in (10, 9, 2, 1, 100)} | {"sword": sprite(8, 8)}
    layout = lay_out(sprites, options())
    assert [frame.name for frame in layout.frames] == ["sword"] + [
        f"walk[frame={n}]" for n in (1, 2, 9, 10, 100)
    ]
    assert {name: [f.number for f in frames] for name, frames in layout.animations().items()} == {
        "walk": [1, 2, 9, 10, 100]
    }


def test_the_order_of_the_images_does_not_matter() -> None:
    sprites = {"a": sprite(9, 5), "b": sprite(5, 9), "c": sprite(5, 9), "d": sprite(30, 2)}
    layouts = {lay_out(dict(order), options(rotate=True)) for order in permutations(sprites.items())}
    assert len(layouts) == 1


def test_a_trimmed_sprite_keeps_what_it_was_trimmed_from() -> None:
    (frame,) = lay_out({"a": Sprite(Size(64, 48), Size(10, 20), 5, 7)}, options()).frames
    assert (frame.upright, frame.source, frame.left, frame.top) == (Size(10, 20), Size(64, 48), 5, 7)
    assert frame.trimmed


def test_a_nine_slice_is_neither_trimmed_nor_turned() -> None:
    sprites = {
        "panel": Sprite(Size(100, 10), Size(80, 4), 10, 3, nine_slice=(4, 3, 4, 3)),
        **{f"pole{i}": sprite(10, 100) for i in range(9)},
    }
    layout = lay_out(sprites, options(rotate=True, max_size=128))
    frames = {frame.name: frame for frame in layout.frames}
    assert (frames["panel"].upright, frames["panel"].turn) == (Size(100, 10), 0)
    assert not frames["panel"].trimmed


def test_turned_frames_lie_as_the_format_means_it() -> None:
    sprites = {"flat": sprite(60, 10), **{f"tall{i}": sprite(10, 60) for i in range(5)}}
    turns = {
        format: {
            frame.turn for frame in lay_out(sprites, options(format=format, rotate=True, max_size=64)).frames
        }
        for format in ("texturepacker-hash", "texturepacker-array", "libgdx")
    }
    assert turns == {
        "texturepacker-hash": {0, 90}, "texturepacker-array": {0, 90}, "libgdx": {0, 270}
    }  # fmt: skip


@pytest.mark.parametrize("format", ["godot", "godot3", "css"])
def test_turning_is_refused_where_the_format_cannot_say_it(format: str) -> None:
    with pytest.raises(UsageError, match=f'"icons" may turn frames, which {format} cannot say') as caught:
        lay_out({"a": sprite(1, 2)}, options(format=format, rotate=True))
    assert caught.value.remedy


def test_an_atlas_without_images_is_an_error() -> None:
    with pytest.raises(UsageError, match='the atlas "icons" has no image') as caught:
        lay_out({}, options())
    assert caught.value.remedy


def test_an_image_and_an_animation_of_one_name_are_an_error() -> None:
    with pytest.raises(
        UsageError, match=r'"walk" would name both an image and the animation of "walk\[frame=1\]"'
    ):
        lay_out({"walk": sprite(1, 1), "walk[frame=1]": sprite(1, 1)}, options())


def test_a_page_is_drawn_anew_only_when_its_pixels_would_differ() -> None:
    sprites = {"a": sprite(8, 8), "b": sprite(8, 8)}
    layout = lay_out(sprites, options())
    recipe = layout.made_of({"a": "1" * 64, "b": "2" * 64}).prints[0]
    assert recipe == lay_out(sprites, options(format="css")).made_of({"a": "1" * 64, "b": "2" * 64}).prints[0]
    renamed = lay_out({"x": sprite(8, 8), "y": sprite(8, 8)}, options())
    assert recipe == renamed.made_of({"x": "1" * 64, "y": "2" * 64}).prints[0]
    others = {
        layout.made_of({"a": "1" * 64, "b": "3" * 64}).prints[0],
        lay_out(sprites, options(padding=1)).made_of({"a": "1" * 64, "b": "2" * 64}).prints[0],
        lay_out(sprites, options(extrude=1)).made_of({"a": "1" * 64, "b": "2" * 64}).prints[0],
        lay_out(sprites, options(pow2=True, padding=2)).made_of({"a": "1" * 64, "b": "2" * 64}).prints[0],
    }
    assert len(others | {recipe}) == 5


@pytest.mark.parametrize(
    ("path", "second"),
    [
        ("icons.png", "icons-2.png"),
        ("a.b/icons.min.json", "a.b/icons.min-2.json"),
        ("a.b/icons", "a.b/icons-2"),
    ],
)
def test_further_pages_are_numbered_from_two(path: str, second: str) -> None:
    assert page_path(path, 0) == path
    assert page_path(path, 1) == second
