"""The gallery's file: what it knows, what it never tells, and that it costs nothing to have another look."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted import painted
from project_folder import STUDIO, ProjectFolder

from imgbuild.ui.gallery.page import render_page

IMAGES = """\
images:
  hero:
    prompt: a lighthouse
    size: 64x32
    takes: 2
    alt: A lighthouse
    tags: [site]
    output: out/hero.png
  icon:
    matrix: {item: [anchor, rope], tone: {warm: warm light}}
    prompt: "{{ item }} in {{ tone }}"
    size: 16x16
    output: out/{{ item }}.png
"""


@pytest.fixture
def built(project: ProjectFolder, emulator) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.json("build")
    emulator.reset()
    return project


def page_of(project: ProjectFolder, folder: str = ".imgbuild/gallery") -> str:
    return (project.root / folder / "index.html").read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match
    return json.loads(match[1])


def gallery(project: ProjectFolder) -> dict[str, dict[str, Any]]:
    project.json("gallery")
    return {image["id"]: image for image in data_of(page_of(project))["images"]}


def test_every_image_is_there_with_what_is_known_of_it(built: ProjectFolder, emulator):
    run = built.run("gallery")
    assert run.out.startswith("wrote .imgbuild/gallery/index.html: 3 images, ")
    data = data_of(page_of(built))
    assert data["project"] == "project"
    hero, icon, _ = data["images"]
    assert (hero["id"], hero["prompt"], hero["state"], hero["alt"], hero["tags"]) == (
        "hero", "a lighthouse", "up to date", "A lighthouse", ["site"],
    )  # fmt: skip
    assert hero["spec"]["model"] == "gpt-image-2"
    assert [(take["number"], take["picked"], take["cost"]) for take in hero["takes"]] == [
        (1, True, 0.01),
        (2, False, 0.01),
    ]
    [output] = hero["outputs"]
    assert (output["path"], output["state"], output["width"]) == ("out/hero.png", "up to date", 64)
    assert output["href"] == "../../out/hero.png"
    assert icon["axes"] == {"item": "anchor", "tone": "warm"}
    for image in data["images"]:
        assert base64.b64decode(data["thumbs"][image["thumb"]].partition(",")[2])[8:12] == b"WEBP"
        assert all(take["thumb"] in data["thumbs"] for take in image["takes"])
    assert emulator.ledger()["charges"] == []


def test_states_are_told_apart(built: ProjectFolder):
    built.write("out/hero.png", painted(64, 32))
    (built.root / "out/anchor.png").unlink()
    built.edit("[anchor, rope]", "[anchor, rope, sail]")
    states = {id: image["state"] for id, image in gallery(built).items()}
    assert states == {
        "hero": "changed by hand",
        "icon[item=anchor,tone=warm]": "missing",
        "icon[item=rope,tone=warm]": "up to date",
        "icon[item=sail,tone=warm]": "to generate",
    }
    built.edit("a lighthouse", "a windmill")
    assert gallery(built)["icon[item=sail,tone=warm]"]["thumb"] is None


def test_nothing_of_keys_or_of_folders_is_told(built: ProjectFolder, tmp_path):
    built.edit(
        "output: out/hero.png",
        "output: out/hero.png\n    references: ['https://example.com/a.png?signature=canary']",
    )
    built.run("gallery")
    page = page_of(built)
    for secret in ("sk-canary", str(tmp_path), "signature", "IMGBUILD_"):
        assert secret not in page


def test_texts_are_never_markup(built: ProjectFolder):
    evil = "</script><script>alert(1)</script><!-- & ]]> \\u2028"
    built.edit("a lighthouse", json.dumps(evil))
    assert gallery(built)["hero"]["prompt"] == json.loads(json.dumps(evil))
    assert page_of(built).count("<script") == 2


@given(st.text(), st.text())
def test_a_page_gives_its_data_back_and_has_no_other_markup(title: str, text: str):
    page = render_page("gallery", title, {"text": text})
    assert data_of(page) == {"text": text}
    plain = render_page("gallery", "", {"text": ""})
    assert page.count("<") == plain.count("<")


def test_out_names_the_folder_and_links_only_within_the_project(built: ProjectFolder):
    assert built.run("gallery", "--out", "../seen").out.startswith("wrote ../seen/index.html")
    outside = data_of(page_of(built, "../seen"))["images"][0]["outputs"][0]
    assert outside["href"] is None
    built.run("gallery", "--out", "docs/art")
    assert data_of(page_of(built, "docs/art"))["images"][0]["outputs"][0]["href"] == "../../out/hero.png"


def test_a_second_gallery_is_the_same_and_makes_no_thumbnail_anew(built: ProjectFolder):
    built.run("gallery")
    first, kept = page_of(built), sorted((built.root / ".imgbuild/thumbnails").rglob("*.webp"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    built.run("gallery")
    assert (page_of(built), [path.stat().st_mtime_ns for path in kept]) == (first, stamps)


def test_thumbnails_that_no_page_shows_any_more_are_removed(built: ProjectFolder):
    built.run("gallery")
    folder = built.root / ".imgbuild/thumbnails"
    before = set(folder.rglob("*.webp"))
    built.edit("a lighthouse", "a windmill")
    built.json("build")
    built.run("gallery")
    after = set(folder.rglob("*.webp"))
    assert before - after
    for path in after:
        path.write_bytes(b"not a picture")
    page = page_of(built)
    built.run("gallery")
    assert page_of(built) == page


def test_a_folder_that_cannot_be_written_is_one_line(built: ProjectFolder):
    run = built.run("gallery", "--out", "imgbuild.yaml/x")
    assert (run.code, len(run.err.splitlines()) <= 2) == (1, True)


def test_an_empty_manifest_gives_a_page_too(project: ProjectFolder):
    project.manifest("version: 1\nimages: {}\n")
    run = project.run("gallery")
    assert run.code == 0, run.err
    assert data_of(page_of(project))["images"] == []
