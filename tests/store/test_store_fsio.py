import hashlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.core.errors import StorageError
from imgbuild.store.fsio import (
    copy_file,
    digest_file,
    make_folder,
    publish,
    remove_empty_parents,
    remove_file,
    write_atomic,
)


def test_an_atomic_write_makes_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"

    write_atomic(path, b"one")
    write_atomic(path, b"two")

    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_an_atomic_write_keeps_the_permissions_of_what_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)

    write_atomic(path, b"new")

    assert path.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("target")

    write_atomic(tmp_path / "link", b"new")

    assert (tmp_path / "target").read_bytes() == b"mine"
    assert not (tmp_path / "link").is_symlink()


def test_a_full_disk_leaves_the_old_file_and_gives_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from imgbuild.store.fsio import write_atomic\n"
        "from imgbuild.core.errors import StorageError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        "try: write_atomic(Path(sys.argv[1]), bytes(5000))\n"
        "except StorageError as error: print(error.message); print(error.remedy)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        f"cannot write {path}: File too large",
        "raise the file size limit (ulimit -f), then run the same command again",
    ]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_below_a_file_is_one_line_with_the_path_and_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "folder" / "x"

    with pytest.raises(StorageError) as caught:
        write_atomic(path, b"data")

    assert caught.value.message == f"cannot create the folder {path.parent}: Not a directory"
    assert caught.value.remedy
    assert "\n" not in caught.value.message


def test_control_characters_in_a_path_are_escaped(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        digest_file(tmp_path / "a\x1b[2J\nb")

    assert caught.value.message.isprintable()


def test_publishing_to_a_place_that_refuses_keeps_the_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    temporary = tmp_path / "temporary"
    temporary.write_bytes(b"paid")

    with pytest.raises(StorageError, match="folder"):
        publish(temporary, tmp_path / "folder")

    assert temporary.read_bytes() == b"paid"


def test_publishing_renames(tmp_path: Path) -> None:
    path = tmp_path / "file"
    temporary = tmp_path / "temporary"
    temporary.write_bytes(b"data")

    publish(temporary, path)

    assert path.read_bytes() == b"data"
    assert not temporary.exists()


@settings(deadline=None)
@given(data=st.binary(max_size=5000))
def test_digest_and_copy_are_those_of_the_bytes(tmp_path_factory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("copy")
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)

    copy_file(source, target)

    assert target.read_bytes() == data
    assert digest_file(target) == hashlib.sha256(data).hexdigest()


def test_copying_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")

    with pytest.raises(StorageError, match="target: File exists"):
        copy_file(tmp_path / "source", tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == b"old"


def test_copying_what_the_kernel_cannot_copy(tmp_path: Path) -> None:
    copy_file(Path("/proc/self/status"), tmp_path / "status")

    assert b"Name:" in (tmp_path / "status").read_bytes()


def test_removing_says_whether_there_was_something(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert remove_file(tmp_path / "file") is True
    assert remove_file(tmp_path / "file") is False


def test_emptied_folders_go_up_to_the_stop(tmp_path: Path) -> None:
    make_folder(tmp_path / "stop" / "a" / "b" / "c")
    (tmp_path / "stop" / "a" / "kept").write_bytes(b"")

    remove_empty_parents(tmp_path / "stop" / "a" / "b" / "c" / "gone.png", tmp_path / "stop")

    assert (tmp_path / "stop" / "a").is_dir()
    assert not (tmp_path / "stop" / "a" / "b").exists()

    (tmp_path / "stop" / "a" / "kept").unlink()
    remove_empty_parents(tmp_path / "stop" / "a" / "kept", tmp_path / "stop")

    assert list(tmp_path.iterdir()) == [tmp_path / "stop"]


def test_nothing_is_removed_above_a_stop_that_is_elsewhere(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")

    remove_empty_parents(tmp_path / "a" / "b" / "x", tmp_path / "other")

    assert (tmp_path / "a" / "b").is_dir()
