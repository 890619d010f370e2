"""What `.imgbuild/` remembers makes plans quick and changes none of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import ProjectFolder

COUNT = 110


def entry(number: int, prompt: str = "a thing") -> str:
    return f"  icon{number}:\n    prompt: {prompt} {number}\n    size: 16x16\n    output: out/{number}.png\n"


def manifest(**changed: str) -> str:
    entries = (changed.get(f"icon{number}", entry(number)) for number in range(COUNT))
    return "version: 1\nimages:\n" + "".join(entries)


def memories(project: ProjectFolder) -> list[Path]:
    folder = project.root / ".imgbuild"
    return [*folder.glob("entries-*"), *folder.glob("settled-*")]


def plans(project: ProjectFolder, *words: str, code: int = 0) -> tuple[str, str]:
    """A plan with what is remembered, which has to be the same without."""
    quick = project.run("plan", *words, "--output-format", "json")
    aside = project.root.with_name("aside")
    (project.root / ".imgbuild").rename(aside)
    slow = project.run("plan", *words, "--output-format", "json")
    shutil.rmtree(project.root / ".imgbuild", ignore_errors=True)
    aside.rename(project.root / ".imgbuild")
    assert (quick.code, quick.out, quick.err) == (slow.code, slow.out, slow.err)
    assert quick.code == code
    return quick.out, quick.err


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> ProjectFolder:
    """Built, and planned once more: everything is remembered."""
    folder = tmp_path_factory.mktemp("remembered")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "IMGBUILD_CACHE_DIR": str(folder / "cache")}
    project = ProjectFolder(folder / "project", environ)
    project.manifest(manifest())
    assert project.run("build").code == 0
    assert project.run("plan", "-q").code == 0
    assert len(memories(project)) == 2
    return project


@pytest.fixture
def built(original: ProjectFolder, tmp_path: Path) -> ProjectFolder:
    """A copy that shares the cache."""
    shutil.copytree(original.root, tmp_path / "project")
    return ProjectFolder(tmp_path / "project", dict(original.environ))


def test_an_edited_entry_is_planned_as_from_nothing(built: ProjectFolder) -> None:
    built.manifest(manifest(icon7=entry(7, "another thing")))
    out, _ = plans(built)
    assert list(built.json("plan").actions()) == ["icon7"], out


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "out/3.png").unlink(),
        lambda root: (root / "out/3.png").write_bytes(b"retouched"),
        lambda root: (root / "imgbuild.lock").unlink(),
        lambda root: (root / "imgbuild.yaml").write_text(manifest(icon5="")),
        lambda root: (root / "imgbuild.yaml").write_text(manifest(icon5=entry(5) + "    fit: contain\n")),
        lambda root: (root / "imgbuild.yaml").write_text(manifest() + "defaults: {fit: contain}\n"),
    ],
    ids=["deleted", "retouched", "unlocked", "dropped", "fit", "defaults"],
)
def test_every_change_is_planned_as_from_nothing(
    built: ProjectFolder, change: Callable[[Path], object]
) -> None:
    change(built.root)
    plans(built)


def test_a_mistake_is_told_as_from_nothing(built: ProjectFolder) -> None:
    wrong = entry(50).replace("out/50.png", "out/3.png") + "    promt: x\n"
    built.manifest(manifest(icon50=wrong))
    out, _ = plans(built, code=2)
    assert "promt" in out
    built.manifest(manifest(icon50=entry(50).replace("out/50.png", "out/3.png")))
    out, _ = plans(built, code=2)
    line = manifest().split("\n").index("  icon50:") + 4
    assert f'"line": {line}' in out


def test_what_came_from_elsewhere_or_is_torn_is_not_believed(built: ProjectFolder) -> None:
    wanted = plans(built)
    for path in memories(built):
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"a thing", b"a theft") if b"a thing" in whole else whole[:-9])
    assert plans(built) == wanted


def test_another_cache_is_asked_anew(built: ProjectFolder) -> None:
    built.environ["IMGBUILD_CACHE_DIR"] += "-other"
    plans(built)


def test_the_next_build_builds_the_edited_image_and_no_other(built: ProjectFolder) -> None:
    built.manifest(manifest(icon7=entry(7, "another thing")))
    built.run("plan")
    assert built.json("build").counts() == {"generated": 1, "unchanged": COUNT - 1}
    assert built.json("build").counts() == {"unchanged": COUNT}
