"""The assets table: what a page needs to know of each image, and nothing of somebody else's file."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.addresses import below, relative, web_path
from imgbuild.core.assets import (
    AssetEntry,
    AssetFile,
    AssetsOptions,
    assets_table,
    recognised,
    render_assets,
)
from imgbuild.core.errors import UsageError

DIGEST = "5" * 64
OPTIONS = AssetsOptions("static/data/images.json")


def file(path: str, width: int = 1200, height: int = 630, **more: Any) -> AssetFile:
    extension = path.rpartition(".")[2]
    return AssetFile(path, width, height, {"jpg": "jpeg"}.get(extension, extension), DIGEST, **more)


def row(entry: AssetEntry, **options: str) -> Any:
    return assets_table([entry], AssetsOptions("images.json", **options))[entry.id]


HERO = AssetEntry(
    "hero",
    file("static/img/hero.png"),
    (
        file("static/img/hero-960.webp", 960, 504),
        file("static/img/hero-480.webp", 480, 252),
        file("static/img/hero-480.avif", 480, 252),
        file("static/img/hero-960.avif", 960, 504),
    ),
    alt="A skyline at dusk",
    tags=("front", "wide"),
    lqip="data:image/webp;base64,UklGRg==",
    color="#8a5a44",
    thumbhash="1QcSHQRnh493V4dIh4eXh1h4kJUI",
)


def test_a_row_says_all_that_a_page_needs() -> None:
    assert row(HERO, root="static", url="/") == {
        "src": "/img/hero.png",
        "width": 1200,
        "height": 630,
        "alt": "A skyline at dusk",
        "type": "image/png",
        "digest": DIGEST,
        "srcset": {
            "avif": "/img/hero-480.avif 480w, /img/hero-960.avif 960w",
            "webp": "/img/hero-480.webp 480w, /img/hero-960.webp 960w",
            "png": "/img/hero.png 1200w",
        },
        "sizes": "(min-width: 1200px) 1200px, 100vw",
        "files": [
            {"src": "/img/hero-960.webp", "width": 960, "height": 504, "type": "image/webp"},
            {"src": "/img/hero-480.webp", "width": 480, "height": 252, "type": "image/webp"},
            {"src": "/img/hero-480.avif", "width": 480, "height": 252, "type": "image/avif"},
            {"src": "/img/hero-960.avif", "width": 960, "height": 504, "type": "image/avif"},
        ],
        "lqip": "data:image/webp;base64,UklGRg==",
        "color": "#8a5a44",
        "thumbhash": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
        "tags": ["front", "wide"],
    }


def test_every_member_is_there_when_nothing_is_declared() -> None:
    bare = row(AssetEntry("a", file("a.jpg", 10, 20)))
    assert bare.keys() == row(HERO).keys()
    assert (bare["alt"], bare["type"], bare["files"], bare["tags"]) == ("", "image/jpeg", [], [])
    assert (bare["lqip"], bare["color"], bare["thumbhash"]) == (None, None, None)


def test_better_formats_come_first() -> None:
    formats = [
        file(f"a-{n}.{extension}", 100 + n, 100 + n)
        for n, extension in enumerate(("png", "jpg", "webp", "avif"))
    ]
    entry = AssetEntry("a", file("a.jpg", 200, 200), tuple(formats))
    assert list(row(entry)["srcset"]) == ["avif", "webp", "jpeg", "png"]


def test_a_declared_sizes_is_kept() -> None:
    entry = AssetEntry("a", file("a.jpg"), sizes="(min-width: 60rem) 60rem, 100vw")
    assert row(entry)["sizes"] == "(min-width: 60rem) 60rem, 100vw"


def test_only_the_same_picture_is_offered_instead() -> None:
    derived = (
        file("small.png", 333, 175),
        file("square.png", 400, 400),
        file("pixels.png", 600, 315, same_picture=False),
        file("again.png", 333, 175),
    )
    made = row(AssetEntry("hero", file("hero.png"), derived))
    assert made["srcset"] == {"png": "small.png 333w, hero.png 1200w"}
    assert [one["src"] for one in made["files"]] == ["small.png", "square.png", "pixels.png", "again.png"]


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 4000))
def test_rounded_heights_are_the_same_picture(width: int, height: int, scaled: int) -> None:
    exact = height * scaled / width
    smaller = file("b.webp", scaled, max(1, round(exact)))
    made = row(AssetEntry("a", file("a.png", width, height), (smaller,)))
    assert "webp" in made["srcset"] or exact < 0.5


def test_a_nine_slice_is_told_with_its_file() -> None:
    entry = AssetEntry("panel", file("panel.png", 64, 64), (file("ui.png", 32, 32, nine_slice=(4, 3, 2, 1)),))
    assert row(entry)["files"][0]["nine_slice"] == {"left": 4, "top": 3, "right": 2, "bottom": 1}


@pytest.mark.parametrize(
    ("root", "url", "address"),
    [
        ("", "", "static/img/a.png"),
        ("", "/", "/static/img/a.png"),
        ("static", "", "img/a.png"),
        ("./static/", "/", "/img/a.png"),
        ("static/img", "https://cdn.example/v1", "https://cdn.example/v1/a.png"),
        ("static/img", "https://cdn.example/v1/", "https://cdn.example/v1/a.png"),
    ],
)
def test_addresses_are_what_the_site_serves(root: str, url: str, address: str) -> None:
    assert row(AssetEntry("a", file("static/img/a.png")), root=root, url=url)["src"] == address


def test_a_file_outside_what_is_served_is_an_error_that_names_the_image() -> None:
    with pytest.raises(UsageError) as caught:
        row(AssetEntry("og[x]", file("static/a.png"), (file("statics/b.png"),)), root="static")
    assert caught.value.message == (
        'image "og[x]": statics/b.png is outside static, the root of the assets table'
    )
    assert caught.value.remedy


def test_commas_and_spaces_do_not_break_a_srcset() -> None:
    entry = AssetEntry("a", file("img/red, blue.png"), (file("img/100% #1?.webp", 600, 315),))
    assert row(entry)["srcset"] == {
        "webp": "img/100%25%20%231%3F.webp 600w",
        "png": "img/red%2C%20blue.png 1200w",
    }


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_an_encoded_path_is_one_word_and_means_the_same(path: str) -> None:
    encoded = web_path(path)
    assert unquote(encoded) == path
    assert not re.search(r"""[ \t\r\n,"'<>()\\#?]""", encoded)
    assert web_path(path) == path or not re.fullmatch(r"[A-Za-z0-9._/-]+", path)


parts = st.lists(st.text("abc-", min_size=1), min_size=1, max_size=4)


@given(parts, parts)
def test_a_relative_path_leads_from_one_file_to_the_other(to: list[str], file: list[str]) -> None:
    steps = [*file[:-1]]
    for step in relative("/".join(to), "/".join(file)).split("/"):
        if step == "..":
            steps.pop()
        else:
            steps.append(step)
    assert [step for step in steps if step != "."] == to


def test_a_folder_is_more_than_a_beginning() -> None:
    assert below("static/a.png", "static") == "a.png"
    assert below("statics/a.png", "static") is None
    assert below("static", "static") is None


ids = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=12)


@given(st.lists(ids, unique=True, max_size=5))
def test_the_json_is_read_back_and_sorted(found: list[str]) -> None:
    table = assets_table([AssetEntry(id, file("a.png"), alt=id) for id in found], OPTIONS)
    text = render_assets(table, "images.json")
    assert json.loads(text) == table
    assert list(json.loads(text)) == sorted(found)
    assert text.endswith("}\n")
    assert text == render_assets(
        assets_table([AssetEntry(id, file("a.png"), alt=id) for id in reversed(found)], OPTIONS),
        "images.json",
    )
    for path in ("images.json", "images.ts", "images.d.ts", "images.d.json.ts"):
        assert recognised(render_assets(table, path), path)


def test_a_browser_understands_the_markup() -> None:
    found: list[dict[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(dict(attrs))

    made = row(HERO, root="static", url="/")
    for format, srcset in made["srcset"].items():
        Reader().feed(f'<source type="image/{format}" srcset="{srcset}" sizes="{made["sizes"]}">')
    assert [source["type"] for source in found] == ["image/avif", "image/webp", "image/png"]
    assert re.fullmatch(r"\S+ \d+w(, \S+ \d+w)*", found[0]["srcset"] or "")


def test_typescript_has_the_values_and_the_ids_as_types() -> None:
    text = render_assets(assets_table([HERO], OPTIONS), "src/images.ts")
    body = re.fullmatch(
        r"// Made by imgbuild: changes are lost\.\n"
        r"export const images = (\{.*\}) as const;\n\n"
        r"export default images;\nexport type ImageId = keyof typeof images;\n",
        text,
        re.S,
    )
    assert body
    assert json.loads(body[1]) == assets_table([HERO], OPTIONS)


def test_declarations_list_the_ids() -> None:
    table = assets_table([HERO, AssetEntry('a["b"]', file("a.png"))], OPTIONS)
    text = render_assets(table, "types/images.d.ts")
    assert r'export type ImageId = "a[\"b\"]" | "hero";' in text
    assert "as const" not in text
    assert "export type ImageId = never;" in render_assets({}, "images.d.json.ts")
    for member in row(HERO):
        assert f"readonly {member}: " in text


def test_another_extension_is_an_error() -> None:
    with pytest.raises(
        UsageError, match=r"images\.yaml: an assets table is written as \.json, \.ts, \.d\.ts"
    ):
        render_assets({}, "images.yaml")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"name": "site", "version": "1.0.0", "dependencies": {}}', "package.json"),
        ('{"hero": {"src": "a.png", "width": 3}}', "images.json"),
        ('{"hero": {"src": "a.png"}, "name": "x"}', "images.json"),
        ("[]", "images.json"),
        ("null", "images.json"),
        ("{", "images.json"),
        ("[" * 100_000, "images.json"),
        ("export const images = {};\n", "images.ts"),
        ("declare module '*.png';\n", "images.d.ts"),
    ],
)
def test_somebody_elses_file_is_not_taken_for_ours(text: str, path: str) -> None:
    assert not recognised(text, path)


@pytest.mark.parametrize("path", ["images.json", "images.ts", "images.d.ts"])
def test_blank_and_empty_tables_may_be_replaced(path: str) -> None:
    assert recognised("\n", path)
    assert recognised(render_assets({}, path), path)
