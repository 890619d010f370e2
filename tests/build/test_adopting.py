"""A person's file becomes the accepted image: its bytes stay as they are, and nothing is charged."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest
from painted import painted
from project_folder import STUDIO, ProjectFolder

IMAGES = """\
images:
  hero:
    prompt: a lighthouse
    size: 64x32
    output: out/hero.png
    derive: [{widths: [32], formats: [webp], output: "out/hero-{{ width }}.{{ format }}"}]
  icon: {prompt: an anchor, size: 16x16, output: out/icon.png}
"""


@pytest.fixture
def built(project: ProjectFolder, emulator) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.json("build")
    emulator.reset()
    return project


def test_an_output_is_accepted_byte_for_byte_and_comes_back_when_it_is_deleted(
    built: ProjectFolder, emulator
):
    mine = painted(64, 32)
    built.write("out/hero.png", mine)
    assert built.json("build", code=1).counts() == {"conflicts": 1, "unchanged": 1}
    run = built.run("adopt", "hero")
    assert (run.code, run.out.splitlines()[0]) == (0, "adopted out/hero.png as it is for hero, as take 2")
    assert built.read("out/hero.png") == mine
    entry = built.lock["images"]["hero"]
    assert entry["outputs"]["out/hero.png"]["digest"] == hashlib.sha256(mine).hexdigest()
    assert (entry["take"], entry["provider"], entry["model"]) == (2, "adopted", None)
    assert built.json("build").counts() == {"unchanged": 2}
    (built.root / "out/hero.png").unlink()
    assert built.json("build").counts() == {"restored": 1, "unchanged": 1}
    assert built.read("out/hero.png") == mine
    assert emulator.ledger()["charges"] == []


def test_other_files_of_the_image_are_made_from_what_was_adopted(built: ProjectFolder):
    before = built.read("out/hero-32.webp")
    built.write("out/hero.png", painted(64, 32))
    built.json("adopt", "hero")
    after = built.read("out/hero-32.webp")
    assert after != before
    built.json("pick", "hero", "1")
    assert built.read("out/hero-32.webp") == before
    built.json("pick", "hero", "2")
    assert (built.read("out/hero.png"), built.read("out/hero-32.webp")) == (painted(64, 32), after)


def test_a_retouched_derived_file_is_accepted_by_itself(built: ProjectFolder, emulator):
    mine = painted(32, 16, format="webp")
    source, own = built.lock["images"]["hero"]["source"], built.read("out/hero.png")
    built.write("out/hero-32.webp", mine)
    assert built.json("adopt", "out/hero-32.webp").events[1]["value"]["files"] == ["out/hero-32.webp"]
    assert built.lock["images"]["hero"]["source"] == source
    assert built.json("build").counts() == {"unchanged": 2}
    (built.root / "out/hero-32.webp").unlink()
    built.json("build")
    assert (built.read("out/hero-32.webp"), built.read("out/hero.png")) == (mine, own)
    assert emulator.ledger()["charges"] == []


def test_what_was_adopted_survives_the_loss_of_the_records(built: ProjectFolder, tmp_path, emulator):
    own, small = painted(64, 32), painted(32, 16, (9, 9, 9), format="webp")
    built.write("out/hero-32.webp", small)
    built.json("adopt", "hero")
    shutil.rmtree(tmp_path / "cache/records")
    (built.root / "out/hero-32.webp").unlink()
    built.json("build")
    assert built.read("out/hero-32.webp") == small
    built.write("out/hero.png", own)
    built.json("adopt", "hero")
    shutil.rmtree(tmp_path / "cache/records")
    built.json("pick", "hero", "1")
    assert built.read("out/hero-32.webp") == small
    built.json("pick", "hero", "2")
    assert built.read("out/hero.png") == own
    assert built.json("build").counts() == {"unchanged": 2}
    assert emulator.ledger()["charges"] == []


def test_a_file_from_anywhere_becomes_the_source_and_the_outputs_are_derived(built: ProjectFolder, tmp_path):
    mine = painted(300, 200, format="jpeg")
    (tmp_path / "mine.jpg").write_bytes(mine)
    run = built.json("adopt", "hero", "../mine.jpg")
    assert run.counts() == {"derived": 1}
    entry = built.lock["images"]["hero"]
    digest = hashlib.sha256(mine).hexdigest()
    assert entry["source"] == {"digest": digest, "format": "jpeg", "height": 200, "width": 300}
    assert entry["outputs"]["out/hero.png"]["width"] == 64
    assert built.json("build").counts() == {"unchanged": 2}
    assert built.run("adopt", "hero", "../mine.jpg").code == 0
    assert built.lock["images"]["hero"] == entry
    assert (tmp_path / "mine.jpg").read_bytes() == mine


def test_a_retouched_output_that_is_named_as_the_source_is_no_conflict(built: ProjectFolder):
    mine = painted(64, 32)
    built.write("out/hero.png", mine)
    assert built.json("adopt", "hero", "out/hero.png").summary["conflicts"] == 0
    assert built.lock["images"]["hero"]["source"]["digest"] == hashlib.sha256(mine).hexdigest()


def test_another_retouched_output_is_left_alone_unless_told(built: ProjectFolder, tmp_path):
    (tmp_path / "mine.png").write_bytes(painted(64, 32))
    built.write("out/hero.png", painted(64, 32, (1, 2, 3)))
    lock = built.read("imgbuild.lock")
    assert built.json("adopt", "hero", "../mine.png", code=1).counts() == {"conflicts": 1}
    assert (built.read("out/hero.png"), built.read("imgbuild.lock")) == (painted(64, 32, (1, 2, 3)), lock)
    assert built.json("adopt", "hero", "../mine.png", "--overwrite").counts() == {"derived": 1}


def test_an_image_that_was_never_generated_can_be_adopted_and_is_not_paid_for(
    project: ProjectFolder, emulator
):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.write("out/icon.png", painted(16, 16))
    project.json("adopt", "icon")
    assert project.json("build", "icon").counts() == {"unchanged": 1}
    assert project.lock["images"]["icon"]["take"] == 1
    assert emulator.ledger()["charges"] == []


def test_a_clone_without_the_cache_adopts_and_does_not_pay_for_the_first_take(
    built: ProjectFolder, emulator, copy_project
):
    clone = copy_project(built, "clone", outputs=True, cache="empty")
    clone.write("out/hero.png", painted(64, 32))
    clone.json("adopt", "hero")
    assert clone.lock["images"]["hero"]["take"] == 2
    assert clone.json("build").counts() == {"unchanged": 2}
    assert emulator.ledger()["charges"] == []


def test_adopting_what_nobody_changed_says_so_and_changes_nothing(built: ProjectFolder):
    before = built.files()
    run = built.run("adopt", "hero")
    assert (run.code, "nothing to adopt" in run.out) == (0, True)
    assert built.files() == before


def test_another_size_than_declared_is_kept_with_a_warning(built: ProjectFolder):
    built.write("out/icon.png", painted(20, 10))
    run = built.run("adopt", "icon")
    assert run.code == 0
    assert "out/icon.png is 20x10, and the manifest asks for 16x16" in run.err
    assert built.json("build").counts() == {"unchanged": 2}


@pytest.mark.parametrize(
    ("bytes", "words"),
    [
        (b"no picture at all", "cannot be adopted: not an image"),
        (painted(16, 16)[:200], "cannot be adopted"),
        (painted(16, 16, format="jpeg"), "it is a picture of the format jpeg"),
    ],
)
def test_a_bad_output_is_one_line_and_nothing_changes(built: ProjectFolder, bytes: bytes, words: str):
    lock = built.read("imgbuild.lock")
    built.write("out/icon.png", bytes)
    run = built.run("adopt", "icon")
    assert run.code == 1
    assert words in run.err
    assert len(run.err.splitlines()) <= 2
    assert built.read("imgbuild.lock") == lock
    assert built.read("out/icon.png") == bytes


def test_files_that_cannot_be_adopted_are_named(built: ProjectFolder, tmp_path):
    target = tmp_path / "mine.png"
    target.write_bytes(painted(8, 8))
    (built.root / "link.png").symlink_to(target)
    os.mkfifo(built.root / "pipe.png")
    (built.root / "large.png").touch()
    os.truncate(built.root / "large.png", 300 << 20)
    for name, words in [
        ("link.png", "it is a symbolic link"),
        ("pipe.png", "it is not a file"),
        ("out", "it is not a file"),
        ("large.png", "it is larger than 256 MiB"),
        ("none.png", "No such file"),
    ]:
        run = built.run("adopt", "icon", name)
        assert (run.code, words in run.err) == (2, True), run.err
    (built.root / "out/icon.png").unlink()
    assert "there is no file out/icon.png" in built.run("adopt", "icon").err
    (built.root / "out/icon.png").symlink_to(target)
    run = built.run("adopt", "icon")
    assert (run.code, "is a symbolic link" in run.err) == (2, True)


def test_a_target_that_means_several_images_is_refused(built: ProjectFolder):
    run = built.run("adopt", "*")
    assert (run.code, "means 2 images" in run.err) == (2, True)


def test_no_file_claims_that_a_model_made_what_a_person_made(built: ProjectFolder):
    assert b"trainedAlgorithmicMedia" in built.read("out/hero-32.webp")
    built.edit("prompt: a lighthouse", "prompt: a lighthouse\n    embed_prompt: true")
    built.write("mine.png", painted(64, 32))
    built.json("adopt", "hero", "mine.png")
    for name in ("out/hero.png", "out/hero-32.webp"):
        assert b"trainedAlgorithmicMedia" not in built.read(name)
        assert b"a lighthouse" not in built.read(name)


def test_a_persons_picture_that_no_cache_has_is_missed_and_not_replaced_by_a_paid_one(
    built: ProjectFolder, copy_project, emulator
):
    built.write("mine.png", painted(64, 32))
    built.json("adopt", "hero", "mine.png")
    clone = copy_project(built, "clone", cache="another")
    run = clone.json("build", "hero", code=1)
    assert run.counts() == {"failed": 1}
    assert "no cache has the bytes" in str(run.events)
    assert emulator.ledger()["charges"] == []
