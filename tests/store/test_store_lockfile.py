import os
from pathlib import Path

import pytest

from imgbuild.core.errors import LockfileError, StorageError
from imgbuild.store.lockfile import read_text, update


def test_no_file_is_none(tmp_path: Path) -> None:
    assert read_text(tmp_path / "imgbuild.lock") is None


def test_an_update_sees_the_text_and_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"
    seen: list[str | None] = []

    def merge(old: str | None) -> str:
        seen.append(old)
        return (old or "") + "é\n"

    assert update(path, merge) is True
    assert update(path, merge) is True

    assert seen == [None, "é\n"]
    assert read_text(path) == "é\né\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".imgbuild", "imgbuild.lock"]


def test_line_ends_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"
    path.write_bytes(b"a\r\n")

    assert read_text(path) == "a\r\n"


def test_an_unchanged_text_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"
    path.write_text("same")
    os.utime(path, (1, 1))

    assert update(path, lambda _: "same") is False

    assert path.stat().st_mtime == 1


def test_a_merge_that_refuses_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"
    path.write_text("<<<<<<<")

    def merge(old: str | None) -> str:
        raise LockfileError("conflict markers")

    with pytest.raises(LockfileError):
        update(path, merge)

    assert path.read_text() == "<<<<<<<"
    assert update(path, lambda old: f"{old}!") is True


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"
    path.write_bytes(b"{\xff\x00")

    with pytest.raises(LockfileError, match=r"imgbuild\.lock is not UTF-8"):
        update(path, lambda _: "new")

    assert path.read_bytes() == b"{\xff\x00"


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "imgbuild.lock").mkdir()

    with pytest.raises(LockfileError, match=r"imgbuild\.lock is not a plain file"):
        read_text(tmp_path / "imgbuild.lock")


def test_a_project_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="Not a directory"):
        update(tmp_path / "file" / "imgbuild.lock", lambda _: "new")
