"""What is remembered in `.imgbuild/` is believed only whole, of this version, and from this user."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.store.remembered import Remembered

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"IMGBUILD_CACHE_DIR": str(tmp_path / "cache")}


def kept(project: Path, environ: dict[str, str]) -> Path:
    Remembered(project, "memory", "1.0", environ).keep(["what", "was", "planned"])
    return project / ".imgbuild" / "memory"


def read(project: Path, environ: dict[str, str], stamp: str = "1.0") -> object:
    return Remembered(project, "memory", stamp, environ).read()


def test_what_was_kept_is_read_again(tmp_path: Path, environ: dict[str, str]) -> None:
    kept(tmp_path, environ)
    assert read(tmp_path, environ) == ["what", "was", "planned"]
    assert (tmp_path / ".imgbuild" / ".gitignore").exists()


@given(value=JSON)
def test_any_json_is_kept(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.mktemp("kept")
    environ = {"IMGBUILD_CACHE_DIR": str(folder / "cache")}
    Remembered(folder, "memory", "1.0", environ).keep(value)  # type: ignore[arg-type]
    assert read(folder, environ) == value


@given(at=st.integers(0, 200), data=st.binary(max_size=3))
def test_a_damaged_file_is_no_memory(tmp_path_factory: pytest.TempPathFactory, at: int, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    environ = {"IMGBUILD_CACHE_DIR": str(folder / "cache")}
    path = kept(folder, environ)
    whole = path.read_bytes()
    damaged = whole[:at] + data + whole[at + 1 :]
    path.write_bytes(damaged)
    assert read(folder, environ) == (["what", "was", "planned"] if damaged == whole else None)


def test_a_file_that_came_with_a_checkout_is_no_memory(tmp_path: Path, environ: dict[str, str]) -> None:
    theirs = kept(tmp_path / "theirs", {"IMGBUILD_CACHE_DIR": str(tmp_path / "their-cache")})
    ours = kept(tmp_path / "ours", environ)
    ours.write_bytes(theirs.read_bytes())
    assert read(tmp_path / "ours", environ) is None


def test_another_version_remembers_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    kept(tmp_path, environ)
    assert read(tmp_path, environ, stamp="1.1") is None


def test_a_token_that_anybody_could_guess_seals_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    kept(tmp_path, environ)
    Path(environ["IMGBUILD_CACHE_DIR"], "index.id").write_bytes(b"")
    assert read(tmp_path, environ) is None


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".imgbuild").symlink_to(tmp_path / "elsewhere")
    Remembered(tmp_path, "memory", "1.0", environ).keep(["x"])
    assert list((tmp_path / "elsewhere").iterdir()) == []
