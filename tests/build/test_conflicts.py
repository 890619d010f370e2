"""Files that a person changed: never overwritten silently, and never lost when overwritten."""

from __future__ import annotations

from hashlib import sha256

import pytest
from project_folder import ProjectFolder

MANIFEST = """\
version: 1
images:
  hero: {prompt: a lighthouse, size: 64x32, output: out/hero.png}
  icon: {prompt: an anchor, size: 16x16, output: out/icon.png}
"""


@pytest.fixture
def built(project: ProjectFolder) -> ProjectFolder:
    project.manifest(MANIFEST)
    assert project.json("build").counts() == {"generated": 2}
    return project


def test_a_retouched_output_is_left_and_the_rest_is_built(built: ProjectFolder):
    built.write("out/hero.png", "mine")
    built.edit("a lighthouse", "a windmill")
    built.edit("an anchor", "a rope")
    locked = built.lock["images"]["hero"]
    run = built.json("build", code=1)
    assert run.counts() == {"generated": 1, "conflicts": 1}
    assert built.read("out/hero.png") == b"mine"
    assert built.lock["images"]["hero"] == locked
    [event] = [e for e in run.events if e["event"] == "image" and e["status"] == "conflict"]
    assert (event["id"], event["outputs"]) == ("hero", ["out/hero.png"])


def test_overwrite_replaces_it_and_keeps_the_persons_bytes_in_the_cache(built: ProjectFolder, tmp_path):
    ours = built.read("out/hero.png")
    built.write("out/hero.png", "mine")
    assert built.json("build", "--overwrite").counts() == {"restored": 1, "unchanged": 1}
    assert built.read("out/hero.png") == ours
    assert any(p.read_bytes() == b"mine" for p in (tmp_path / "cache" / "blobs").rglob("*") if p.is_file())


def test_a_file_that_was_there_first_is_not_touched(project: ProjectFolder):
    project.manifest(MANIFEST)
    project.write("out/hero.png", "was here")
    assert project.json("build", code=1).counts() == {"generated": 1, "conflicts": 1}
    assert project.read("out/hero.png") == b"was here"


def test_an_output_that_is_a_symlink_is_not_written_through(built: ProjectFolder, tmp_path):
    target = tmp_path / "elsewhere.png"
    target.write_bytes(b"elsewhere")
    path = built.root / "out/hero.png"
    path.unlink()
    path.symlink_to(target)
    built.edit("a lighthouse", "a windmill")
    assert built.json("build", code=1).counts() == {"conflicts": 1, "unchanged": 1}
    assert target.read_bytes() == b"elsewhere"
    assert path.is_symlink()


def test_a_folder_that_leads_outside_is_an_error(built: ProjectFolder, tmp_path):
    (tmp_path / "outside").mkdir()
    (built.root / "link").symlink_to(tmp_path / "outside")
    built.edit("out/hero.png", "link/hero.png")
    run = built.run("build")
    assert run.code == 2
    assert "imgbuild.yaml:3:" in run.err
    assert list((tmp_path / "outside").iterdir()) == []


def test_placeholders_are_replaced_without_a_conflict(project: ProjectFolder, emulator):
    from project_folder import STUDIO

    project.manifest(STUDIO.format(url=emulator.url) + MANIFEST.removeprefix("version: 1\n"))
    assert project.json("build", "--placeholder").counts() == {"generated": 2}
    assert not (project.root / "imgbuild.lock").exists()
    card = project.read("out/hero.png")
    assert project.json("build").counts() == {"generated": 2, "submitted": 2}
    real = project.read("out/hero.png")
    assert real != card
    lock = project.read("imgbuild.lock")
    assert project.json("build", "--placeholder").summary["conflicts"] == 0
    assert project.read("out/hero.png") == card
    assert project.read("imgbuild.lock") == lock
    assert project.json("build").counts() == {"restored": 2}
    assert project.read("out/hero.png") == real


def test_a_placeholder_shows_its_own_id_though_the_prompt_is_shared(project: ProjectFolder):
    project.manifest(
        "version: 1\nimages:\n"
        "  one: {prompt: same, size: 200x100, output: one.png}\n"
        "  two: {prompt: same, size: 200x100, output: two.png}\n"
    )
    project.json("build")
    images = project.lock["images"]
    assert images["one"]["key"] == images["two"]["key"]
    assert project.read("one.png") != project.read("two.png")
    before = project.read("one.png")
    project.edit("  one:", "  uno:")
    assert project.json("build").summary["generated"] == 0
    assert project.read("one.png") != before


def test_clean_removes_only_what_is_still_ours(built: ProjectFolder):
    built.write("out/hero.png", "mine")
    run = built.run("clean")
    assert run.code == 0
    assert "out/hero.png" in run.out + run.err
    assert (built.root / "out/hero.png").read_bytes() == b"mine"
    assert not (built.root / "out/icon.png").exists()
    assert (built.root / "imgbuild.lock").exists()


def test_clean_stale_removes_what_the_manifest_dropped(built: ProjectFolder):
    built.edit("out/icon.png", "moved/icon.png")
    built.json("build")
    assert (built.root / "out/icon.png").exists()
    built.run("clean", "--stale", "--dry-run")
    assert (built.root / "out/icon.png").exists()
    assert built.run("clean", "--stale").code == 0
    assert not (built.root / "out/icon.png").exists()
    assert (built.root / "moved/icon.png").exists()
    assert built.json("build").counts() == {"unchanged": 2}


def test_pointers_of_git_lfs_are_told_from_retouched_pictures(project: ProjectFolder):
    project.manifest(
        "version: 1\nimages:\n  a: {prompt: A, output: a.png}\n  b: {prompt: B, output: b.png}\n"
    )
    project.run("build")
    for name in ("a.png", "b.png"):
        digest = sha256(project.read(name)).hexdigest()
        project.write(name, f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 5000\n")

    done = project.run("build")

    assert done.code == 1
    assert "a.png and 1 more are pointers of Git LFS, not the file itself; git lfs pull brings it" in done.err
    assert project.read("a.png").startswith(b"version https"), "it is not ours to replace"
