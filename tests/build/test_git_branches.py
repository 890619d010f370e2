"""Two branches that each add an image: git merges the lock, and the merged project has nothing to do."""

from __future__ import annotations

import subprocess

from project_folder import STUDIO, ProjectFolder

BASE = """\
images:
  bridge: {prompt: a bridge, size: 64x64, output: out/bridge.png}
  lake: {prompt: a lake, size: 64x64, output: out/lake.png}
  tower: {prompt: a tower, size: 64x64, output: out/tower.png}
"""


def git(project: ProjectFolder, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=project.root, capture_output=True, text=True, env=project.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr


def add_image(project: ProjectFolder, branch: str, after: str, name: str) -> None:
    git(project, "checkout", "-q", "-b", branch, "main")
    line = next(
        x for x in (project.root / "imgbuild.yaml").read_text().splitlines() if x.startswith(f"  {after}:")
    )
    project.edit(line, f"{line}\n  {name}: {{prompt: a {name}, size: 64x64, output: out/{name}.png}}")
    project.json("build")
    git(project, "add", "-A")
    git(project, "commit", "-qm", name)


def test_the_lock_of_two_branches_merges_without_a_conflict(project: ProjectFolder, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + BASE)
    project.json("build")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "base")
    add_image(project, "one", "bridge", "castle")
    add_image(project, "two", "lake", "moon")
    git(project, "merge", "-q", "one", "-m", "merge")
    assert list(project.lock["images"]) == ["bridge", "castle", "lake", "moon", "tower"]
    assert project.json("build").counts() == {"unchanged": 5}
    assert len(emulator.ledger()["charges"]) == 5


def test_switching_branches_back_and_forth_is_free(project: ProjectFolder, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + BASE)
    project.write(".gitignore", "out/\n")
    project.json("build")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "base")
    git(project, "checkout", "-q", "-b", "night")
    project.edit("a lake", "a lake at night")
    assert project.json("build").counts() == {"generated": 1, "unchanged": 2, "submitted": 1}
    git(project, "commit", "-qam", "night")
    for branch in ("main", "night", "main"):
        git(project, "checkout", "-q", branch)
        assert project.json("build").counts() == {"restored": 1, "unchanged": 2}
    assert len(emulator.ledger()["charges"]) == 4
