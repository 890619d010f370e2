"""`imgbuild diff`: what changed since a revision, in words, in JSON, as a page and as a picture."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from painted import painted
from project_folder import ProjectFolder

from imgbuild.images.decode import inspect

MANIFEST = """\
version: 1
images:
  hero: {prompt: a lighthouse, size: 64x32, output: out/hero.png}
  icon: {prompt: an anchor, size: 16x16, output: out/icon.png}
"""


def git(project: ProjectFolder, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *words], cwd=project.root, env=project.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def committed(project: ProjectFolder) -> ProjectFolder:
    project.manifest(MANIFEST)
    project.json("build")
    git(project, "init", "-q", "-b", "main")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "first")
    return project


def differences(project: ProjectFolder, *words: str) -> dict[str, dict]:
    found = (e["value"] for e in project.json("diff", *words).events if e.get("kind") == "difference")
    return {value["id"]: value for value in found}


def test_nothing_changed_is_said(committed: ProjectFolder):
    run = committed.run("diff")
    assert (run.code, run.out) == (0, "")
    assert re.fullmatch(r"no image has changed since HEAD \([0-9a-f]{7}\)\n", run.err)
    assert differences(committed) == {}


def test_added_changed_and_removed_images_are_told_field_by_field(committed: ProjectFolder):
    committed.edit("a lighthouse", "a windmill")
    committed.edit("  icon: {prompt: an anchor", "  logo: {prompt: a rope")
    committed.json("build")
    found = differences(committed)
    assert {id: value["change"] for id, value in found.items()} == {
        "hero": "changed",
        "icon": "removed",
        "logo": "added",
    }
    assert found["hero"]["reasons"] == [{"field": "prompt", "old": "a lighthouse", "new": "a windmill"}]
    output = found["hero"]["outputs"][0]
    assert (output["path"], output["old"]["width"], output["new"]["width"]) == ("out/hero.png", 64, 64)
    assert output["old"]["digest"] != output["new"]["digest"]
    run = committed.run("diff", "main")
    assert '    prompt: "a lighthouse" -> "a windmill"' in run.out.splitlines()
    assert run.err.startswith("1 added, 1 changed, 1 removed since main (")
    git(committed, "add", "-A")
    git(committed, "commit", "-q", "-m", "second")
    assert differences(committed) == {}
    assert differences(committed, "HEAD~1") == found


def test_a_picked_take_is_a_difference(committed: ProjectFolder, tmp_path):
    (tmp_path / "mine.png").write_bytes(painted(64, 32))
    committed.json("adopt", "hero", "../mine.png")
    fields = {reason["field"]: reason["new"] for reason in differences(committed)["hero"]["reasons"]}
    assert fields == {"take": 2, "provider": "adopted"}


def test_no_manifest_and_no_cache_are_needed(committed: ProjectFolder, tmp_path):
    committed.edit("a lighthouse", "a windmill")
    committed.json("build")
    (committed.root / "imgbuild.yaml").unlink()
    found = differences(committed, "HEAD")
    assert [reason["field"] for reason in found["hero"]["reasons"]] == ["prompt"]
    run = committed.json("diff", "--out", "review.html", IMGBUILD_CACHE_DIR=str(tmp_path / "empty"))
    assert [reason["field"] for reason in run.events[1]["value"]["reasons"]] == ["key"]
    # Before comes from git, after from the project.
    assert len(page_data(committed.root / "review.html")["thumbs"]) == 2


def page_data(path: Path) -> dict:
    match = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL
    )
    assert match
    return json.loads(match[1])


def test_a_page_shows_before_and_after(committed: ProjectFolder):
    committed.edit("a lighthouse", "a windmill </script><b>")
    committed.json("build")
    run = committed.run("diff", "--out", "../review.html")
    assert run.out.splitlines()[-1] == "wrote ../review.html"
    page = (committed.root / "../review.html").read_text()
    assert "</script><b>" not in page
    data = page_data(committed.root / "../review.html")
    [hero] = data["differences"]
    both = {hero["outputs"][0]["old"]["digest"], hero["outputs"][0]["new"]["digest"]}
    assert set(data["thumbs"]) == both
    assert str(committed.root) not in page


@pytest.mark.parametrize("format", ["png", "webp"])
def test_a_contact_sheet_is_a_picture(committed: ProjectFolder, format: str):
    committed.edit("a lighthouse", "a windmill")
    committed.json("build")
    committed.json("diff", "--out", f"sheet.{format}")
    facts = inspect(committed.root / f"sheet.{format}")
    assert (facts.format, facts.width > 600) == (format, True)


def test_what_git_lfs_has_is_shown(committed: ProjectFolder, tmp_path):
    digest = committed.lock["images"]["hero"]["outputs"]["out/hero.png"]["digest"]
    large = committed.root / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest
    large.parent.mkdir(parents=True)
    large.write_bytes(committed.read("out/hero.png"))
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {large.stat().st_size}\n"
    )
    committed.write("out/hero.png", pointer)
    git(committed, "add", "-A")
    git(committed, "commit", "-q", "-m", "with LFS")
    committed.edit("a lighthouse", "a windmill")
    committed.json("build", "--overwrite")
    committed.json("diff", "--out", "review.html", IMGBUILD_CACHE_DIR=str(tmp_path / "empty"))
    assert digest in page_data(committed.root / "review.html")["thumbs"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], 'git knows no revision "nope"'),
        (["HEAD~5"], 'git knows no revision "HEAD~5"'),
        ([""], '"" is no revision'),
        (["--out", "review.txt"], "has to end in .html, .png or .webp"),
    ],
)
def test_what_cannot_be_compared_is_one_line(committed: ProjectFolder, words: list[str], said: str):
    run = committed.run("diff", *words)
    assert (run.code, len(run.err.splitlines()) <= 2) == (2, True)
    assert said in run.err


def test_a_folder_without_git_or_lock_or_program_is_one_line(committed: ProjectFolder, new_project, tmp_path):
    other = new_project("other")
    other.manifest(MANIFEST)
    environ = {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    run = other.run("diff", **environ)
    assert (run.code, "not in a git repository" in run.err) == (2, True)
    git(other, "init", "-q")
    assert 'git knows no revision "HEAD"' in other.run("diff").err
    git(other, "add", "imgbuild.yaml")
    git(other, "commit", "-q", "-m", "no lock")
    run = other.run("diff")
    assert (run.code, "there is no imgbuild.lock at HEAD" in run.err) == (2, True)
    assert "git is not installed" in committed.run("diff", PATH=str(tmp_path)).err
    committed.write("imgbuild.lock", "{")
    git(committed, "commit", "-qam", "broken")
    run = committed.run("diff", "HEAD")
    assert (run.code, "HEAD:imgbuild.lock:1:2: the lock is not valid JSON" in run.err) == (2, True)
