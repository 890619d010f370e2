"""`imgbuild init`: every template builds at once, offline."""

from __future__ import annotations

import json

import pyvips


def begin(imgbuild, template, built):
    """Write the template's manifest and build it without a network; there is nothing left to do then."""
    done = imgbuild("init", "--template", template)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("wrote imgbuild.yaml")
    text = (imgbuild.root / "imgbuild.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=./imgbuild.schema.json\n")
    assert json.loads((imgbuild.root / "imgbuild.schema.json").read_text())
    done = imgbuild("build", "--offline")
    assert (done.returncode, done.stdout.split(" in ")[0]) == (0, built)
    assert imgbuild("plan", "--exit-code").returncode == 0


def test_a_blank_manifest_builds_one_image(imgbuild):
    begin(imgbuild, "blank", "1 generated")
    assert (imgbuild.root / "images/hero.png").is_file()


def test_a_site_begins_with_responsive_pictures_and_their_table(imgbuild):
    begin(imgbuild, "site", "4 generated, 1 derived")
    table = json.loads((imgbuild.root / "data/images.json").read_text())
    assert table.keys() == {"hero", "share[hello]", "share[tides]", "avatar"}
    assert all(image["alt"] and image["lqip"] for image in table.values())
    assert table["hero"]["srcset"]["avif"].startswith("/img/hero-480.avif 480w, /img/hero-960.avif 960w, ")
    for file in (file for image in table.values() for file in (image, *image["files"])):
        assert (imgbuild.root / "static" / file["src"].lstrip("/")).is_file()


def test_a_game_begins_with_an_atlas_an_animation_and_pixel_art(imgbuild):
    begin(imgbuild, "game", "12 generated, 1 derived")
    table = json.loads((imgbuild.root / "assets/sprites.json").read_text())
    assert len(table["frames"]) == 10
    assert table["animations"] == {"walk": [f"walk[frame={number}]" for number in (1, 2, 3, 4)]}
    assert (imgbuild.root / "assets" / table["meta"]["image"]).is_file()
    pixels = pyvips.Image.new_from_file(str(imgbuild.root / "assets/title-pixel.png"))
    assert (pixels.width, pixels.height) == (240, 135)


def test_a_new_folder_is_made(imgbuild):
    done = imgbuild("init", "a/site")
    assert done.returncode == 0
    assert 'imgbuild -C "a/site" build' in done.stdout
    assert imgbuild("-C", "a/site", "check").stdout == "1 image, no errors\n"


def test_over_a_manifest_nothing_is_changed(project):
    before = (project.root / "imgbuild.yaml").read_bytes()
    done = project("init")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: imgbuild.yaml is there already; nothing was changed\n"
    assert (project.root / "imgbuild.yaml").read_bytes() == before
    assert [path.name for path in project.root.iterdir()] == ["imgbuild.yaml"]


def test_a_file_in_the_way_is_one_line(imgbuild):
    imgbuild.write("x", "site")
    done = imgbuild("init", "site")
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1
    assert "site" in done.stderr
