"""Atlases and the assets table: made of accepted images, free, kept up to date, and never over somebody's file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from project_folder import STUDIO, ProjectFolder

from imgbuild.images.vips import pyvips

IMAGES = """\
images:
  hero:
    prompt: a skyline
    size: 600x300
    output: out/static/hero.png
    alt: A skyline
    tags: [wide]
    derive: [{widths: [150, 300], formats: [avif, webp], output: "out/static/hero-{{ width }}.{{ format }}"}]
  sprite:
    prompt: "{{ item }}"
    matrix: {item: [sword, shield, potion]}
    size: 32x32
    output: "out/static/{{ item }}.png"
"""
COLLECTED = """\
assets: {output: out/images.json, root: out/static, url: /}
atlases:
  icons: {images: "sprite*", output: out/icons.png, data: out/icons.json, padding: 2, extrude: 1}
"""


@pytest.fixture
def studio(project: ProjectFolder, emulator: Any) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES + COLLECTED)
    return project


def table(project: ProjectFolder, name: str = "out/images.json") -> Any:
    return json.loads(project.read(name))


def test_the_table_says_what_a_page_needs(studio: ProjectFolder, emulator: Any):
    assert studio.json("build").counts() == {"generated": 4, "derived": 2, "submitted": 4}
    images = table(studio)
    assert [*images] == ["hero", "sprite[item=potion]", "sprite[item=shield]", "sprite[item=sword]"]
    hero = images["hero"]
    assert (hero["src"], hero["width"], hero["height"]) == ("/hero.png", 600, 300)
    assert (hero["alt"], hero["type"], hero["tags"]) == ("A skyline", "image/png", ["wide"])
    assert hero["digest"] == hashlib.sha256(studio.read("out/static/hero.png")).hexdigest()
    assert hero["srcset"]["avif"] == "/hero-150.avif 150w, /hero-300.avif 300w"
    assert hero["lqip"].startswith("data:image/")
    assert len(hero["color"]) == 7
    before = studio.stamps()
    assert studio.json("build").counts() == {"unchanged": 4}
    assert studio.stamps() == before
    assert emulator.ledger()["total"]["images"] == 4


def test_every_frame_of_the_atlas_shows_its_image(studio: ProjectFolder):
    studio.json("build")
    data = table(studio, "out/icons.json")
    page = pyvips.Image.new_from_file(str(studio.root / "out/icons.png"))
    assert data["meta"]["image"] == "icons.png"
    assert data["meta"]["size"] == {"w": page.width, "h": page.height}
    assert [*data["frames"]] == ["sprite[item=potion]", "sprite[item=shield]", "sprite[item=sword]"]
    for id, frame in data["frames"].items():
        box = frame["frame"]
        item = id.removeprefix("sprite[item=").removesuffix("]")
        image = pyvips.Image.new_from_file(str(studio.root / f"out/static/{item}.png"))
        cut = page.crop(box["x"], box["y"], box["w"], box["h"]).extract_band(0, n=3)
        assert cut.write_to_memory() == image.extract_band(0, n=3).write_to_memory()


def test_only_what_changed_is_made_again(studio: ProjectFolder, emulator: Any):
    studio.json("build")
    before = studio.stamps()
    studio.edit("A skyline", "A skyline at dusk")
    run = studio.json("build")
    assert run.counts() == {"derived": 1, "unchanged": 4}
    assert table(studio)["hero"]["alt"] == "A skyline at dusk"
    changed = {name for name, stamp in studio.stamps().items() if before[name] != stamp}
    assert changed == {"imgbuild.yaml", "out/images.json"}
    studio.edit("sword, shield, potion", "sword, shield, crown")
    assert studio.json("build").counts() == {"generated": 1, "derived": 2, "unchanged": 3, "submitted": 1}
    assert "sprite[item=crown]" in table(studio, "out/icons.json")["frames"]
    assert "sprite[item=potion]" not in table(studio)
    assert emulator.ledger()["total"]["images"] == 5


def test_what_is_missing_comes_back_and_plan_says_so(studio: ProjectFolder):
    studio.json("build")
    icons = studio.read("out/icons.png")
    (studio.root / "out/icons.png").unlink()
    assert studio.run("plan", "--exit-code").code == 3
    plan = studio.json("plan")
    assert plan.actions()["atlas:icons"]["action"] == "derive"
    assert plan.counts() == {"derived": 1, "unchanged": 4}
    assert studio.json("build").counts() == {"derived": 1, "unchanged": 4}
    assert studio.read("out/icons.png") == icons


@pytest.mark.parametrize("name", ["out/images.json", "out/icons.json", "out/icons.png"])
def test_somebody_elses_file_is_left_alone(studio: ProjectFolder, name: str):
    theirs = '{"name": "my-site", "version": "1.0.0"}'
    studio.write(name, theirs)
    run = studio.json("build", code=1)
    assert run.counts()["conflicts"] == 1
    assert studio.read(name).decode() == theirs
    assert studio.json("build", "--overwrite").counts() == {"derived": 1, "unchanged": 4}
    assert studio.json("build").counts() == {"unchanged": 4}


def test_a_clone_brings_them_up_to_date_without_a_cache(studio: ProjectFolder, copy_project, emulator):
    studio.json("build")
    clone = copy_project(studio, "clone", outputs=True, cache="another")
    before = clone.stamps()
    assert clone.json("build", "--locked").counts() == {"unchanged": 4}
    assert clone.stamps() == before
    clone.edit("alt: A skyline", "alt: Dusk")
    clone.edit("padding: 2", "padding: 3")
    assert clone.json("build", "--locked").counts() == {"derived": 2, "unchanged": 4}
    assert table(clone)["hero"]["alt"] == "Dusk"
    assert emulator.ledger()["total"]["images"] == 4


def test_a_failed_image_leaves_its_atlas_as_it_was(studio: ProjectFolder):
    studio.edit("[sword, shield, potion]", "{sword: a, shield: b, potion: 'c [fault:fail:1]'}")
    studio.edit("out/static/{{ item }}.png", "out/static/{{ item.key }}.png")
    run = studio.json("build", code=1)
    assert run.counts() == {"generated": 3, "derived": 1, "failed": 2, "submitted": 4}
    [atlas] = [e for e in run.events if e["event"] == "image" and e["id"] == "atlas:icons"]
    assert "imgbuild.yaml:" in atlas["error"]["message"]
    assert "sprite[item=potion] is not there" in atlas["error"]["message"]
    assert len(table(studio)) == 3
    assert studio.json("build").counts() == {"generated": 1, "derived": 2, "unchanged": 3, "submitted": 1}
    assert len(table(studio, "out/icons.json")["frames"]) == 3


def test_a_retouched_page_is_left_alone(studio: ProjectFolder):
    studio.json("build")
    studio.write("out/icons.png", b"mine")
    run = studio.json("build", code=1)
    assert run.counts() == {"conflicts": 1, "unchanged": 4}
    assert run.actions()["atlas:icons"]["action"] == "conflict"
    assert studio.read("out/icons.png") == b"mine"
    assert studio.json("build", "--overwrite").counts() == {"derived": 1, "unchanged": 4}


def test_an_atlas_that_cannot_fit_is_named_with_its_line_and_the_images_are_there(studio: ProjectFolder):
    studio.edit("padding: 2", "max_size: 16")
    run = studio.json("build", code=1)
    assert run.counts() == {"generated": 4, "derived": 1, "failed": 1, "submitted": 4}
    [atlas] = [e for e in run.events if e["event"] == "image" and e["error"]]
    assert "imgbuild.yaml:" in atlas["error"]["message"]
    assert "sprite[item=" in atlas["error"]["message"]


def test_derived_files_can_be_the_frames(studio: ProjectFolder):
    studio.edit(
        'output: "out/static/{{ item }}.png"',
        'output: "out/static/{{ item }}.png"\n'
        '    derive: [{scale: 0.5, output: "out/static/{{ item }}-small-{{ digest[:4] }}.png"}]',
    )
    studio.edit('images: "sprite*"', 'images: "out/static/*-small-*.png"')
    studio.json("build")
    frames = table(studio, "out/icons.json")["frames"]
    assert len(frames) == 3
    assert frames["sprite[item=sword]"]["sourceSize"] == {"w": 16, "h": 16}
    assert studio.json("build").counts() == {"unchanged": 4}
    studio.edit('images: "out/static/*-small-*.png"', 'images: ["out/static/*-small-*.png", sprite]')
    run = studio.run("check")
    assert run.code == 2
    assert "would be a frame twice" in run.err


def test_files_that_are_declared_no_longer_are_stale(studio: ProjectFolder):
    studio.json("build")
    studio.manifest(studio.read("imgbuild.yaml").decode().partition("atlases:")[0])
    studio.json("build")
    out = studio.run("clean", "--stale").out
    assert "out/icons.png" in out
    assert "out/icons.json" in out
    assert not (studio.root / "out/icons.png").exists()
    assert (studio.root / "out/images.json").exists()


def test_clean_removes_them_and_a_build_brings_them_back_for_nothing(studio: ProjectFolder, emulator: Any):
    studio.json("build")
    before = studio.files()
    studio.write("out/icons.png.import", "an engine's")
    cleaned = studio.run("clean").out
    assert "out/icons.png" in cleaned
    assert "out/images.json" in cleaned
    assert not (studio.root / "out/icons.png").exists()
    studio.json("build")
    after = {name: data for name, data in studio.files().items() if not name.endswith(".import")}
    assert after == before
    assert emulator.ledger()["total"]["images"] == 4


def test_placeholders_have_them_too(studio: ProjectFolder, emulator: Any):
    run = studio.json("build", "--placeholder")
    assert run.counts() == {"generated": 4, "derived": 2}
    assert len(table(studio)) == 4
    assert studio.json("build").summary["generated"] == 4
    assert studio.json("build").counts() == {"unchanged": 4}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('images: "sprite*"', "images: spite", 'no image is called "spite"'),
        ("out/icons.png", "out/icons.gif", "must end in .png or .webp"),
        ("data: out/icons.json", "data: out/icons.txt", "must end in .json"),
        ("data: out/icons.json", "data: out/icons.json, format: css", "must end in .css"),
        ("root: out/static", "root: site", "does not lie in"),
        ("out/images.json", "../images.json", "leads out of the project"),
        ("out/icons.png", "out/static/hero.png", "both write"),
        ("out/images.json", "imgbuild.yaml", "would overwrite the manifest"),
        ("padding: 2", "padding: -1", "must be at least 0"),
        ("icons.json, padding: 2", "icons.tres, rotate: true, format: godot", "godot has no turned frames"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(studio: ProjectFolder, old: str, new: str, message: str):
    studio.edit(old, new)
    run = studio.run("check")
    assert run.code == 2
    assert message in run.err
    assert "imgbuild.yaml:" in run.err


def test_the_table_can_be_typescript(studio: ProjectFolder):
    studio.edit("out/images.json", "out/images.ts")
    studio.json("build")
    text = studio.read("out/images.ts").decode()
    assert "export const images = {" in text
    assert studio.json("build").counts() == {"unchanged": 4}
