"""What counts as a change: by content, whoever tells of it and whenever."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from imgbuild.run.observed import Observed
from imgbuild.run.watching.expected import Expected, is_editors_own
from imgbuild.run.watching.git import git_lock, is_held

LOCK = "imgbuild.lock"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def noted(tmp_path: Path) -> Observed:
    """A manifest, a folder of posts, a file that is not there, and an output."""
    (tmp_path / "posts").mkdir()
    (tmp_path / "posts/one.md").write_bytes(b"one")
    (tmp_path / "imgbuild.yaml").write_bytes(b"text")
    (tmp_path / "out.png").write_bytes(b"picture")
    observed = Observed(tmp_path, "imgbuild.yaml", None)
    observed.content("imgbuild.yaml", b"text")
    observed.content("posts/one.md", b"one")
    observed.list("posts")
    observed.look("style.j2")
    observed.look(LOCK)
    observed.digest("out.png")
    return observed


@pytest.fixture
def expected(tmp_path: Path, noted: Observed) -> Expected:
    found = Expected(tmp_path)
    found.take(noted, ["out.png"])
    found.expect_outputs({"out.png": digest(b"picture"), "gone.png": None}, noted)
    return found


def test_nothing_has_changed_at_first_nor_by_touching(tmp_path, expected):
    assert expected.changed(LOCK) == []
    os.utime(tmp_path / "imgbuild.yaml")
    (tmp_path / "out.png").write_bytes(b"picture")
    assert expected.changed(LOCK) == []


def test_each_kind_of_change_is_named(tmp_path, expected):
    (tmp_path / "imgbuild.yaml").write_bytes(b"next")
    (tmp_path / "posts/two.md").write_bytes(b"two")
    (tmp_path / "style.j2").write_bytes(b"flat")
    (tmp_path / "out.png").unlink()
    (tmp_path / "gone.png").write_bytes(b"somebody's")
    (tmp_path / LOCK).write_bytes(b"{}")
    assert expected.changed(LOCK) == [
        "gone.png", LOCK, "imgbuild.yaml", "out.png", "posts", "style.j2",
    ]  # fmt: skip


def test_an_edit_of_the_same_length_at_the_same_time_is_seen(tmp_path, expected):
    path = tmp_path / "imgbuild.yaml"
    before = path.stat()
    path.write_bytes(b"tex2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert expected.changed(LOCK) == ["imgbuild.yaml"]


def test_outputs_do_not_count_while_they_are_being_written(tmp_path, noted):
    under_way = Expected(tmp_path)
    under_way.take(noted, ["out.png"])
    (tmp_path / "out.png").write_bytes(b"another")
    assert under_way.changed(LOCK) == []
    under_way.take(noted, ["out.png"], ["out.png"])
    assert under_way.changed(LOCK) == ["out.png"]


def test_the_lock_may_be_any_of_what_a_round_makes_of_it(tmp_path, expected):
    (tmp_path / LOCK).write_bytes(b"ours")
    ours = hashlib.sha256(b"ours").digest()
    assert expected.changed(LOCK, {ours}) == []
    (tmp_path / LOCK).write_bytes(b"theirs")
    assert expected.changed(LOCK, {ours}) == [LOCK]
    expected.expect(LOCK, hashlib.sha256(b"theirs").digest())
    assert expected.changed(LOCK) == []


@pytest.mark.parametrize("name", ["4913", "one.md~", "#one.md#", "one.md.swp", "one.md.tmp", "___jb_tmp___"])
def test_what_editors_keep_beside_a_file_is_no_change_of_its_folder(tmp_path, expected, name):
    assert is_editors_own(name)
    (tmp_path / "posts" / name).write_bytes(b"half")
    assert expected.changed(LOCK) == []


def test_the_folders_to_follow_are_those_of_the_files_and_the_ones_above_them(tmp_path, expected):
    assert expected.folders() == {str(tmp_path), str(tmp_path / "posts")}


def test_a_git_at_work_is_seen_in_checkouts_worktrees_and_below_them(tmp_path):
    assert git_lock(tmp_path / "nowhere") is None or Path("/.git").exists()
    (tmp_path / "one/.git").mkdir(parents=True)
    (tmp_path / "one/site").mkdir()
    lock = git_lock(tmp_path / "one/site")
    assert lock == tmp_path / "one/.git/index.lock"
    assert not is_held(lock)
    lock.touch()
    assert is_held(lock)
    os.utime(lock, (0, 0))
    assert not is_held(lock)
    (tmp_path / "two").mkdir()
    (tmp_path / "two/.git").write_text(f"gitdir: {tmp_path}/one/.git/worktrees/two\n")
    assert git_lock(tmp_path / "two") == tmp_path / "one/.git/worktrees/two/index.lock"
