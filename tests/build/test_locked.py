"""`--locked`, `--frozen`, `restore` and CI=true: exactly what the lock names, and never a generation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from project_folder import STUDIO, ProjectFolder

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 600x315, output: out/hero.png}
  icon: {prompt: an anchor, size: 64x64, output: out/icon.webp}
"""


@pytest.fixture
def checkout(
    project: ProjectFolder, emulator, copy_project: Callable[..., ProjectFolder]
) -> tuple[ProjectFolder, ProjectFolder]:
    """What was built, and a fresh checkout of it that shares the cache."""
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.json("build")
    emulator.reset()
    return project, copy_project(project, "checkout")


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["build", "--locked"], {}),
        (["build", "--frozen"], {}),
        (["build"], {"CI": "true"}),
        (["restore"], {}),
    ],
    ids=["locked", "frozen", "ci", "restore"],
)
def test_every_output_comes_back_byte_for_byte(checkout, emulator, words: list[str], environ: dict[str, str]):
    built, fresh = checkout
    assert fresh.json(*words, **environ).counts() == {"restored": 2}
    assert fresh.files() == built.files()
    assert fresh.json(*words, **environ).counts() == {"unchanged": 2}
    assert emulator.ledger()["charges"] == []


@pytest.mark.parametrize(
    ("old", "new", "id"),
    [
        ("a lighthouse", "a windmill", "hero"),
        ("600x315", "500x300", "hero"),
        ("size: 64x64", "fit: contain, size: 64x64", "icon"),
        ("out/icon.webp", "out/moved.webp", "icon"),
        ("  icon:", "  symbol:", "symbol"),
        ("  icon: {prompt: an anchor, size: 64x64, output: out/icon.webp}\n", "", "icon"),
        ("images:\n", "images:\n  extra: {prompt: x, output: out/x.png}\n", "extra"),
    ],
    ids=["prompt", "size", "fit", "moved", "renamed", "removed", "added"],
)
@pytest.mark.parametrize("environ", [{}, {"CI": "true"}], ids=["locked", "ci"])
def test_a_manifest_that_moved_on_is_exit_3_and_names_the_image(
    checkout, emulator, old: str, new: str, id: str, environ: dict[str, str]
):
    _, fresh = checkout
    fresh.edit(old, new)
    before = fresh.files()
    run = fresh.run("build", *([] if environ else ["--locked"]), **environ)
    assert run.code == 3
    assert id in run.err
    assert fresh.files() == before
    assert emulator.ledger()["charges"] == []


def test_generate_allows_it_on_ci(checkout, emulator):
    _, fresh = checkout
    fresh.edit("a lighthouse", "a windmill")
    assert fresh.json("build", "--generate", CI="true").counts() == {
        "generated": 1,
        "restored": 1,
        "submitted": 1,
    }


def test_no_lock_at_all_is_exit_3(checkout):
    _, fresh = checkout
    (fresh.root / "imgbuild.lock").unlink()
    assert fresh.run("build", "--locked").code == 3


def test_restore_without_a_lock_says_so(project: ProjectFolder):
    run = project.run("restore")
    assert (run.code, "imgbuild.lock" in run.err) == (2, True)


def test_restore_refuses_a_lock_that_names_a_path_outside(checkout):
    _, fresh = checkout
    text = (fresh.root / "imgbuild.lock").read_text()
    fresh.write("imgbuild.lock", text.replace("out/hero.png", "../hero.png"))
    run = fresh.run("restore")
    assert run.code == 2
    assert "../hero.png" in run.err
    assert not (fresh.root.parent / "hero.png").exists()


def test_restore_leaves_a_retouched_file(checkout):
    built, _ = checkout
    built.write("out/hero.png", "mine")
    run = built.json("restore", code=1)
    assert run.counts() == {"conflicts": 1, "unchanged": 1}
    assert built.read("out/hero.png") == b"mine"
