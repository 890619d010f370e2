import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import sha

from imgbuild.core.errors import StorageError
from imgbuild.store.workdir import DroppedOutput, Workdir


def test_the_folder_is_made_on_demand_and_ignored_by_git_and_godot(tmp_path: Path) -> None:
    workdir = Workdir(tmp_path)
    assert workdir.dropped() == ()
    workdir.forget(["a.png"])
    workdir.remember_dropped([])
    assert list(tmp_path.iterdir()) == []

    folder = workdir.ensure()

    assert folder == tmp_path / ".imgbuild"
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (folder / ".gdignore").read_bytes() == b""
    (folder / ".gitignore").write_text("mine\n")
    assert (workdir.ensure() / ".gitignore").read_text() == "mine\n"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".imgbuild").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="symbolic link"):
        Workdir(tmp_path / "project").ensure()

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_dropped_outputs_are_remembered_until_they_are_forgotten(tmp_path: Path) -> None:
    workdir = Workdir(tmp_path)
    a, b = DroppedOutput("a.png", sha("a"), "hero"), DroppedOutput("img/b.png", sha("b"))

    workdir.remember_dropped([b])
    workdir.remember_dropped([DroppedOutput("a.png", sha("older")), a])

    assert workdir.dropped() == (a, b)

    workdir.forget(["a.png", "unknown"])

    assert Workdir(tmp_path).dropped() == (b,)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dropped": 7}', '{"dropped": [7, null]}', "[" * 50_000])
def test_an_unreadable_list_is_an_empty_one(tmp_path: Path, text: str) -> None:
    workdir = Workdir(tmp_path)
    (workdir.ensure() / "dropped.json").write_text(text)

    assert workdir.dropped() == ()
    workdir.remember_dropped([DroppedOutput("a.png", sha("a"))])
    assert len(workdir.dropped()) == 1


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\0b", 7])
def test_a_planted_path_out_of_the_project_is_left_out(tmp_path: Path, path) -> None:
    workdir = Workdir(tmp_path)
    entry = {"path": path, "digest": sha("a"), "image_id": "x"}
    (workdir.ensure() / "dropped.json").write_text(json.dumps({"dropped": [entry]}))

    assert workdir.dropped() == ()


entries = st.lists(
    st.builds(DroppedOutput, path=st.sampled_from("abc"), digest=st.sampled_from([sha("1"), sha("2")]))
)


@settings(deadline=None)
@given(first=entries, second=entries, forgotten=st.sets(st.sampled_from("abc")))
def test_the_list_behaves_like_a_dictionary(tmp_path_factory, first, second, forgotten) -> None:
    workdir = Workdir(tmp_path_factory.mktemp("project"))
    workdir.remember_dropped(first)
    workdir.remember_dropped(second)
    workdir.forget(forgotten)

    expected = {entry.path: entry for entry in [*first, *second] if entry.path not in forgotten}
    assert {entry.path: entry for entry in workdir.dropped()} == expected
