"""An atlas' tables, read the way their engines read them, give back the frames that were written."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.core.atlas.frame import AtlasOptions, Layout, Sprite, page_path
from imgbuild.core.atlas.layout import lay_out
from imgbuild.core.atlas.writers import FORMATS, recognised_atlas, write_atlas
from imgbuild.core.errors import UsageError
from imgbuild.core.image import Size

DATA = {
    "texturepacker-hash": "json", "texturepacker-array": "json", "libgdx": "atlas", "godot": "tres",
    "godot3": "tres", "css": "css",
}  # fmt: skip


class Shown(NamedTuple):
    """What an engine knows of a frame: where it is cut out, upright, and where that lies in the picture."""

    picture: str
    x: int
    y: int
    width: int
    height: int
    turn: int
    source: tuple[int, int]
    offset: tuple[int, int]


def expected(layout: Layout, options: AtlasOptions) -> dict[str, Shown]:
    return {
        frame.name: Shown(
            page_path(options.output, frame.page), frame.x, frame.y, frame.upright.width, frame.upright.height,
            frame.turn, (frame.source.width, frame.source.height), (frame.left, frame.top),
        )
        for frame in layout.frames
    }  # fmt: skip


def beside(file: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), name))


def read_json(files: Mapping[str, str]) -> dict[str, Shown]:
    found = {}
    for path, text in files.items():
        table = json.loads(text)
        entries = table["frames"]
        named = entries if isinstance(entries, dict) else {entry["filename"]: entry for entry in entries}
        for name, entry in named.items():
            frame, cut, source = entry["frame"], entry["spriteSourceSize"], entry["sourceSize"]
            assert (cut["w"], cut["h"]) == (frame["w"], frame["h"])
            assert entry["trimmed"] == ((cut["w"], cut["h"]) != (source["w"], source["h"]))
            found[name] = Shown(
                beside(path, table["meta"]["image"]), frame["x"], frame["y"], frame["w"], frame["h"],
                90 * entry["rotated"], (source["w"], source["h"]), (cut["x"], cut["y"]),
            )  # fmt: skip
    return found


def read_libgdx(files: Mapping[str, str]) -> dict[str, Shown]:
    """As `TextureAtlasData.load` does: a line without a colon begins a page, or within one a region."""
    ((path, text),) = files.items()
    found: dict[str, Shown] = {}
    for block in text.split("\n\n"):
        picture = ""
        regions: list[tuple[str, dict[str, list[str]]]] = []
        for line in block.splitlines():
            name, colon, values = line.strip().partition(":")
            if colon:
                regions[-1][1][name.strip()] = [value.strip() for value in values.split(",")]
            else:
                regions.append((line.strip(), {}))
        picture = beside(path, regions[0][0])
        for name, fields in regions[1:]:
            x, y, width, height = map(int, fields["bounds"])
            left, below, across, down = map(int, fields.get("offsets", [0, 0, width, height]))
            index = fields.get("index")
            turn = (360 - int(fields.get("rotate", ["0"])[0])) % 360
            key = f"{name}[frame={index[0]}]" if index else name
            found[key] = Shown(
                picture, x, y, width, height, turn, (across, down), (left, down - below - height)
            )
    return found


def read_godot(files: Mapping[str, str]) -> dict[str, Shown]:
    """As `ResourceLoaderText` does, as far as such files go: tags with fields, then `name = value` lines."""
    ((_, text),) = files.items()
    pages = {
        id.strip('"'): path
        for path, id in re.findall(
            r'^\[ext_resource type="Texture.*" path="res://(.+)" id=(.+)\]$', text, re.M
        )
    }
    textures: dict[str, Shown] = {}
    for id, body in re.findall(r'^\[sub_resource type="AtlasTexture" id=(.+)\]\n((?:.+\n)+)', text, re.M):
        fields = dict(line.split(" = ", 1) for line in body.splitlines())
        page = re.fullmatch(r'ExtResource\("?(.+?)"?\)', fields["atlas"])
        region = [int(n) for n in re.findall(r"\d+", fields["region"].removeprefix("Rect2"))]
        margin = [int(n) for n in re.findall(r"\d+", fields.get("margin", "Rect2(0, 0, 0, 0)")[5:])]
        assert page
        source = (region[2] + margin[2], region[3] + margin[3])
        textures[id.strip('"')] = Shown(pages[page[1]], *region, 0, source, (margin[0], margin[1]))
    steps = re.search(r"load_steps=(\d+)", text)
    assert steps
    assert int(steps[1]) == len(pages) + len(textures) + 1
    found: dict[str, Shown] = {}
    animations = text.partition("[resource]\nanimations = ")[2]
    for frames, name in re.findall(
        r'"frames": \[(.*?)\],\n"loop": true,\n"name": &?("[^\n]*"),', animations, re.S
    ):
        ids = [id.strip('"') for id in re.findall(r"SubResource\((.+?)\)", frames)]
        spelt = json.loads(name)
        for number, id in enumerate(ids):
            found[f"{spelt}[frame={number}]" if spelt == "walk" else spelt] = textures[id]
    return found


def read_css(files: Mapping[str, str]) -> dict[str, Shown]:
    """As a browser does: the shared rule, then a frame's own over it."""
    ((path, text),) = files.items()
    rules = re.findall(r"^(\S[^\n]*) \{\n(.*?)\n\}$", text, re.M | re.S)
    common, shared = rules[0]
    found: dict[str, Shown] = {}
    for selector, body in rules[1:]:
        fields = dict(line.strip().rstrip(";").split(": ", 1) for line in (shared + "\n" + body).splitlines())
        picture = re.search(r'url\("(.+)"\)', fields.get("background-image", fields["background"]))
        assert picture
        x, y = (-int(n.removesuffix("px")) for n in fields["background-position"].split())
        padding = [int(n.removesuffix("px")) for n in fields.get("padding", "0 0 0 0").split()]
        width, height = (int(fields[side].removesuffix("px")) for side in ("width", "height"))
        top, right, bottom, left = padding
        escaped = re.sub(r"\\([0-9a-f]+) ", lambda m: chr(int(m[1], 16)), selector.removeprefix(f"{common}."))
        found[re.sub(r"\\(.)", r"\1", escaped)] = Shown(
            beside(path, picture[1]), x, y, width, height, 0,
            (width + left + right, height + top + bottom), (left, top),
        )  # fmt: skip
    return found


READERS = {
    "texturepacker-hash": read_json, "texturepacker-array": read_json, "libgdx": read_libgdx,
    "godot": read_godot, "godot3": read_godot, "css": read_css,
}  # fmt: skip


@st.composite
def sprites(draw: st.DrawFn) -> Sprite:
    source = Size(draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    kept = Size(draw(st.integers(1, source.width)), draw(st.integers(1, source.height)))
    left = draw(st.integers(0, source.width - kept.width))
    top = draw(st.integers(0, source.height - kept.height))
    return Sprite(source, kept, left, top)


names = st.text(
    st.characters(codec="utf-8", exclude_characters=":", exclude_categories=("C", "Z")), min_size=1
)
ids = names.map(lambda name: f"sprite[item={name}]") | st.sampled_from(["7up", "-", "-1", "crown", "ns/ring"])


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_written_is_read_back(format: str, data: st.DataObject) -> None:
    given = data.draw(st.dictionaries(ids, sprites(), min_size=1, max_size=8))
    given |= {f"walk[frame={n}]": data.draw(sprites()) for n in range(data.draw(st.integers(0, 3)))}
    options = AtlasOptions(
        "icons", data.draw(st.sampled_from(["a/b/icons.png", "icons.webp"])), f"a/c/icons.{DATA[format]}",
        format=format, padding=1, rotate=format in ("texturepacker-hash", "texturepacker-array", "libgdx"),
        max_size=data.draw(st.sampled_from([44, 4096])),
    )  # fmt: skip
    layout = lay_out(given, options)
    files = write_atlas(layout, options)
    assert READERS[format](files) == expected(layout, options)
    assert files == write_atlas(lay_out(dict(reversed(given.items())), options), options)
    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in files.values())
    for page, (path, text) in enumerate(sorted(files.items(), key=lambda file: (len(file[0]), file[0]))):
        assert recognised_atlas(text, page_path(options.output, page)), path
        assert not recognised_atlas(text, "a/b/other.png")


def square(side: int = 8, **more: Any) -> Sprite:
    return Sprite(Size(side, side), Size(side, side), **more)


def written(given: Mapping[str, Sprite], **more: Any) -> dict[str, str]:
    paths = {"output": "assets/icons.png", "data": "assets/icons.json"}
    options = AtlasOptions(**{"name": "icons", **paths, **more})
    return dict(write_atlas(lay_out(given, options), options))


def test_pixi_finds_animations_and_the_other_pages() -> None:
    given = {f"walk[dir=left,frame={n}]": square() for n in (1, 2, 10)} | {"tree": square(30)}
    files = {path: json.loads(text) for path, text in written(given, max_size=32).items()}
    assert sorted(files) == ["assets/icons-2.json", "assets/icons.json"]
    first, second = files["assets/icons.json"], files["assets/icons-2.json"]
    assert first["meta"]["related_multi_packs"] == ["icons-2.json"]
    assert second["meta"]["related_multi_packs"] == ["icons.json"]
    assert (first["meta"]["image"], second["meta"]["image"]) == ("icons.png", "icons-2.png")
    assert "animations" not in first
    assert second["animations"] == {"walk[dir=left]": [f"walk[dir=left,frame={n}]" for n in (1, 2, 10)]}


def test_an_animation_over_two_pages_is_not_listed_with_gaps() -> None:
    given = {f"walk[frame={n}]": square(20) for n in range(3)}
    tables = [json.loads(text) for text in written(given, max_size=32).values()]
    assert [list(table["frames"]) for table in tables] == [[f"walk[frame={n}]"] for n in range(3)]
    assert not any("animations" in table for table in tables)


def test_the_table_says_what_the_picture_is() -> None:
    ((_, text),) = written({"a": square()}, output="assets/img/icons.webp", pow2=True).items()
    meta = json.loads(text)["meta"]
    digest = meta.pop("smartupdate")
    assert meta == {
        "app": "imgbuild", "version": "1.0", "image": "img/icons.webp", "format": "RGBA8888",
        "size": {"w": 8, "h": 8}, "scale": "1",
    }  # fmt: skip
    assert re.fullmatch(r"\$imgbuild:SmartUpdate:[0-9a-f]{32}\$", digest)
    ((_, other),) = written({"a": square(9)}, output="assets/img/icons.webp").items()
    assert digest != json.loads(other)["meta"]["smartupdate"]


def test_nine_slices_are_told_in_the_words_of_each_engine() -> None:
    panel = {"panel": square(32, nine_slice=(4, 5, 6, 7))}
    entry = json.loads(written(panel)["assets/icons.json"])["frames"]["panel"]
    assert entry["borders"] == {"left": 4, "top": 5, "right": 6, "bottom": 7}
    assert entry["scale9Borders"] == {"x": 4, "y": 5, "w": 22, "h": 20}
    assert "  split: 4, 6, 5, 7\n" in written(panel, format="libgdx", data="a.atlas")["a.atlas"]


def test_libgdx_gets_an_animation_under_one_name() -> None:
    text = written({f"walk[frame={n}]": square() for n in (3, 11)}, format="libgdx", data="a.atlas")[
        "a.atlas"
    ]
    assert text.startswith("assets/icons.png\nsize: ")
    assert re.findall(r"^walk\n  index: (\d+)$", text, re.M) == ["3", "11"]


def test_libgdx_cannot_have_a_colon_in_a_name() -> None:
    with pytest.raises(UsageError, match=r'cannot name "og\[a: b\]": to libGDX a colon means a field'):
        written({"og[a: b]": square()}, format="libgdx")


def test_godot_finds_the_picture_below_its_own_project() -> None:
    text = written({"a": square()}, format="godot", output="game/art/icons.png", root="./game/")
    assert 'path="res://art/icons.png"' in text["assets/icons.json"]


def test_a_picture_outside_godots_project_is_an_error() -> None:
    with pytest.raises(
        UsageError, match=r"assets/icons\.png is outside game, which res:// stands for"
    ) as caught:
        written({"a": square()}, format="godot", root="game")
    assert caught.value.remedy


def test_a_new_frame_leaves_the_ids_of_the_others_alone_in_godot() -> None:
    before, after = (
        re.findall(r'id="(AtlasTexture_\w+)"', written(given, format="godot")["assets/icons.json"])
        for given in ({"a": square(), "c": square()}, {n: square() for n in "abc"})
    )
    assert set(before) < set(after)


def test_names_are_quoted_for_godot() -> None:
    text = written({'post[say "hi\\"]': square()}, format="godot")["assets/icons.json"]
    assert '"name": &"post[say \\"hi\\\\\\"]"' in text


def test_css_classes_are_the_ids_escaped() -> None:
    text = written({"sprite[item=sword,tone=warm]": square(), "7up": square()}, format="css", name="2d")
    selectors = re.findall(r"^(\..+) \{$", text["assets/icons.json"], re.M)
    assert selectors == [r".\32 d", r".\32 d.\37 up", r".\32 d.sprite\[item\=sword\,tone\=warm\]"]


def test_two_frames_of_one_css_class_are_an_error() -> None:
    with pytest.raises(UsageError, match=r'would give "a\[b c\]" and "a\[b-c\]" one CSS class') as caught:
        written({"a[b c]": square(), "a[b-c]": square()}, format="css")
    assert caught.value.remedy


def test_css_addresses_are_encoded() -> None:
    text = written({"a": square()}, format="css", output="img/my icons(1)#.png", data="css/icons.css")
    assert 'url("../img/my%20icons%281%29%23.png")' in text["css/icons.css"]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "package", "version": "1.0.0"}',
        '{"frames": {}, "meta": {"app": "https://www.codeandweb.com/texturepacker", "image": "icons.png"}}',
        '{"frames": {}, "meta": {"app": "imgbuild", "image": "other.png"}}',
        '{"meta": {"app": "imgbuild", "image": "icons.png"}}',
        '{"frames": {}, "meta": []}',
        "{" * 100_000,
        "[]",
        "body { background: url(icons.png) }",
        "icons.png\nsize:8,8\n",
        '[gd_scene load_steps=2 format=3]\n\n[ext_resource type="Texture2D" path="res://icons.png" id="1"]\n',
        '[gd_resource type="SpriteFrames" load_steps=2 format=3]\n\n[resource]\nanimations = []\n',
        "import x\n",
        "\0",
    ],
)
def test_what_somebody_else_wrote_is_not_taken_for_ours(text: str) -> None:
    assert not recognised_atlas(text, "assets/icons.png")


def test_a_blank_file_may_be_filled() -> None:
    assert recognised_atlas(" \n", "icons.png")
