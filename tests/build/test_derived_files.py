"""Derived files: always free, each exactly as declared, and as well looked after as an image's own output."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from project_folder import STUDIO, ProjectFolder

from imgbuild.images.vips import pyvips

HERO = """\
  hero:
    prompt: a skyline
    size: 600x300
    output: out/hero.png
    derive:
      - {widths: [120, 300], formats: [avif, webp], output: "out/hero-{{ width }}.{{ format }}"}
      - {scale: 0.1, output: "out/small.png"}
"""


@pytest.fixture
def studio(project: ProjectFolder, emulator: Any) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + "images:\n" + HERO)
    return project


def charged(emulator: Any) -> int:
    return emulator.ledger()["total"]["images"]


def size_of(project: ProjectFolder, name: str) -> tuple[int, int]:
    image = pyvips.Image.new_from_file(str(project.root / name))
    return image.width, image.height


def test_every_declared_file_is_there_in_its_size_and_format_and_in_the_lock(studio, emulator):
    assert studio.json("build").counts() == {"generated": 1, "submitted": 1}
    sizes = {
        "out/hero-120.avif": (120, 60),
        "out/hero-120.webp": (120, 60),
        "out/hero-300.avif": (300, 150),
        "out/hero-300.webp": (300, 150),
        "out/hero.png": (600, 300),
        "out/small.png": (60, 30),
    }
    outputs = studio.lock["images"]["hero"]["outputs"]
    assert [*outputs] == sorted(sizes)
    for name, size in sizes.items():
        assert size_of(studio, name) == size == (outputs[name]["width"], outputs[name]["height"])
        assert hashlib.sha256(studio.read(name)).hexdigest() == outputs[name]["digest"]
    assert studio.read("out/hero-120.avif")[4:12] == b"ftypavif"
    assert studio.read("out/hero-120.webp")[8:12] == b"WEBP"
    before = studio.stamps()
    assert studio.json("build").counts() == {"unchanged": 1}
    assert studio.stamps() == before
    assert charged(emulator) == 1


def test_a_change_of_what_is_derived_is_free_and_touches_nothing_else(studio, emulator):
    studio.json("build")
    before = studio.stamps()
    studio.edit("[120, 300]", "[120, 240]")
    assert studio.json("build").counts() == {"derived": 1}
    changed = {name for name, stamp in studio.stamps().items() if before.get(name) != stamp}
    assert changed == {"out/hero-240.avif", "out/hero-240.webp", "imgbuild.yaml", "imgbuild.lock"}
    assert "out/hero-300.avif" not in studio.lock["images"]["hero"]["outputs"]
    cleaned = studio.run("clean", "--stale").out
    assert "out/hero-300.avif" in cleaned
    assert "out/hero-300.webp" in cleaned
    assert not (studio.root / "out/hero-300.avif").exists()
    assert (studio.root / "out/hero-120.avif").exists()
    assert charged(emulator) == 1


def test_a_lost_derived_file_comes_back_although_there_was_nothing_to_do(studio):
    studio.json("build")
    assert studio.json("build").counts() == {"unchanged": 1}
    mine = studio.read("out/hero-120.webp")
    (studio.root / "out/hero-120.webp").unlink()
    assert studio.json("build").counts() == {"restored": 1}
    assert studio.read("out/hero-120.webp") == mine


def test_a_retouched_derived_file_is_left_alone(studio):
    studio.json("build")
    studio.write("out/small.png", "mine")
    run = studio.json("build", code=1)
    assert run.counts() == {"conflicts": 1}
    assert studio.read("out/small.png") == b"mine"
    assert studio.json("build", "--overwrite").counts() == {"restored": 1}


def test_the_digest_can_be_part_of_the_name(studio, copy_project, emulator):
    studio.edit("out/small.png", "out/small-{{ digest[:8] }}.png")
    studio.json("build")
    [path] = [p for p in studio.lock["images"]["hero"]["outputs"] if p.startswith("out/small-")]
    digest = hashlib.sha256(studio.read(path)).hexdigest()
    assert path == f"out/small-{digest[:8]}.png"
    assert studio.json("build").counts() == {"unchanged": 1}
    clone = copy_project(studio, "clone", outputs=True, cache="another")
    assert clone.json("build", "--locked").counts() == {"unchanged": 1}

    studio.edit("a skyline", "a harbour")
    [event] = [e for e in studio.json("build").events if e["event"] == "image"]
    [new] = [p for p in studio.lock["images"]["hero"]["outputs"] if p.startswith("out/small-")]
    assert new != path
    assert new in event["outputs"]
    assert (studio.root / path).exists()
    assert studio.run("clean", "--stale").code == 0
    assert not (studio.root / path).exists()
    assert (studio.root / new).exists()
    assert charged(emulator) == 2


def test_in_another_profile_or_a_locked_build_the_same_bytes_are_restored(studio, copy_project, emulator):
    studio.json("build")
    clone = copy_project(studio, "clone")
    assert clone.json("build", "--locked").counts() == {"restored": 1}
    assert clone.files()["out/hero-300.avif"] == studio.files()["out/hero-300.avif"]
    clone.edit("[120, 300]", "[120]")
    run = clone.run("build", "--locked")
    assert run.code == 3
    assert "hero: output changed" in run.err
    assert charged(emulator) == 1


def test_what_is_only_derived_is_never_paid_for(studio, copy_project, emulator):
    """A clone has the files but no cache: a new width cannot be derived, and nothing is generated for it."""
    studio.json("build")
    clone = copy_project(studio, "clone", outputs=True, cache="another")
    clone.edit("[120, 300]", "[120, 240, 300]")
    before = clone.files()
    run = clone.json("build", code=1)
    assert run.counts() == {"failed": 1}
    assert "imgbuild reroll 'hero'" in str(run.events)
    assert "out/hero-240.avif" in str(run.events)
    assert clone.files() == before
    assert charged(emulator) == 1


def test_what_cannot_be_derived_names_image_file_and_line_and_the_others_go_on(studio, emulator):
    studio.edit("scale: 0.1", "pad: 65000")
    studio.manifest(
        studio.read("imgbuild.yaml").decode() + "  b: {prompt: x, size: 64x64, output: out/b.png}\n"
    )
    run = studio.json("build", code=1)
    assert run.counts() == {"generated": 1, "failed": 1, "submitted": 2}
    [failed] = [e for e in run.events if e["event"] == "image" and e["error"]]
    assert failed["id"] == "hero"
    assert "imgbuild.yaml:" in failed["error"]["message"]
    assert "out/small.png" in failed["error"]["message"]
    studio.edit("pad: 65000", "pad: 1")
    assert studio.json("build").counts() == {"derived": 1, "unchanged": 1}
    assert charged(emulator) == 2


def test_two_files_at_one_path_are_an_error_that_names_both_places(studio):
    studio.edit("out/small.png", "out/hero-120.avif")
    run = studio.run("check")
    assert run.code == 2
    assert 'both write "out/hero-120.avif"' in run.err


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{output: ../x.png}", "output: leads out of the project"),
        ("{output: x.gif}", "must end in .png"),
        ("{output: x.png, widths: [10], scale: 2}", "widths and scale both say how large it is"),
        ("{output: x.png, palette: [red, '#000000']}", '"red" is no colour'),
        ("{output: x.png, palette: no.hex}", '"no.hex" does not exist'),
        ("{output: x.webp, formats: [avif]}", "is to be written as avif"),
        ("{output: 'x.{{ format }}', formats: [gif]}", 'not "gif"'),
        ("{output: x.png, quality: 80}", 'png has no encoder option "quality"'),
        ("{output: x.png, focus: left}", '"left" is neither'),
        ("{output: x.png, focus: '1.2,0'}", '"1.2,0" is neither'),
        ("{output: x.png, kernel: sinc}", "must be nearest"),
        ("{output: x.png, nine_slice: [1, 2]}", "must be one border"),
        ("{output: 'x-{{ wide }}.png'}", '"wide" is undefined'),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_at_its_place(project: ProjectFolder, entry: str, message: str):
    project.manifest(
        f"version: 1\nimages:\n  a:\n    prompt: x\n    output: a.png\n    derive:\n      - {entry}\n"
    )
    run = project.run("check")
    assert run.code == 2
    assert "imgbuild.yaml:7:" in run.err
    assert message in run.err
    assert run.err.count(": error: ") == 1


def test_a_wrong_nine_slice_of_an_image_is_said_as_well(project: ProjectFolder):
    project.manifest("version: 1\nimages: {a: {prompt: x, output: a.png, nine_slice: [1, two]}}\n")
    run = project.run("check")
    assert run.code == 2
    assert "nine_slice: must be one border in pixels, or four" in run.err


def test_a_palette_file_decides_the_colours_and_its_change_derives_again(studio: ProjectFolder):
    project = studio
    project.write("art/two.hex", "000000\nffffff\n")
    project.edit('scale: 0.1, output: "out/small.png"', "palette: art/two.hex, output: out/p.png")
    project.json("build")
    assert colours(project, "out/p.png") <= {(0, 0, 0), (255, 255, 255)}
    assert project.json("build").counts() == {"unchanged": 1}
    project.write("art/two.hex", "#ff0000\n#0000ff\n")
    assert project.json("build").counts() == {"derived": 1}
    assert colours(project, "out/p.png") <= {(255, 0, 0), (0, 0, 255)}


def colours(project: ProjectFolder, name: str) -> set[tuple[int, ...]]:
    image = pyvips.Image.new_from_file(str(project.root / name)).colourspace("srgb").extract_band(0, n=3)
    data = image.write_to_memory()
    return {tuple(data[i : i + 3]) for i in range(0, len(data), 3)}


@pytest.mark.parametrize("focus", ["attention", "entropy", "centre", "0.25,0.75", "1, .5"])
def test_a_crop_keeps_what_it_is_told_to(project: ProjectFolder, focus: str):
    project.manifest(
        "version: 1\nimages:\n  a:\n    prompt: x\n    size: 120x60\n    output: out/a.png\n"
        f'    derive: [{{size: 30x60, focus: "{focus}", output: out/b.png}}]\n'
    )
    assert project.json("build").counts() == {"generated": 1}
    assert size_of(project, "out/b.png") == (30, 60)


def test_an_image_can_be_had_by_the_path_of_a_derived_file(studio):
    assert studio.json("build", "out/hero-120.avif").counts() == {"generated": 1, "submitted": 1}
