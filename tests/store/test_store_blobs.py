import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import damage, sha

from imgbuild.core.errors import StorageError
from imgbuild.store.blobs import Blob, Blobs, CorruptBlob, MissingBlob


def a_file(blobs: Blobs, data: bytes) -> Path:
    path = blobs.scratch()
    path.write_bytes(data)
    return path


def test_opening_touches_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")

    assert not blobs.has(sha("x"))
    assert list(blobs.entries()) == []
    assert list(blobs.quarantined()) == []
    assert blobs.sweep() == 0
    assert not (tmp_path / "cache").exists()


def test_a_file_is_taken_over_read_only_under_its_digest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    file = a_file(blobs, b"picture")

    blob = blobs.add_file(file)

    digest = sha("picture")
    assert blob == Blob(digest, 7)
    path = blobs.verified(digest, 7)
    assert path == tmp_path / "cache" / "blobs" / digest[:2] / digest
    assert path.stat().st_mode & 0o777 == 0o444
    assert not file.exists()
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


@settings(deadline=None)
@given(many=st.lists(st.binary(max_size=40), max_size=8))
def test_equal_bytes_are_kept_once_and_every_blob_hashes_to_its_name(tmp_path_factory, many) -> None:
    blobs = Blobs(tmp_path_factory.mktemp("cache"))

    added = [blobs.add_bytes(data) for data in many]

    assert sorted({blob.digest for blob in added}) == [entry.digest for entry in blobs.entries()]
    assert sum(len(data) for data in set(many)) == sum(entry.bytes for entry in blobs.entries())
    for data, blob in zip(many, added, strict=True):
        assert blobs.verified(blob.digest).read_bytes() == data


@pytest.mark.parametrize("bad", [b"pictur", b"pictuRe", bytes(7), b""], ids=["cut", "flip", "zero", "empty"])
def test_damage_is_found_on_read_and_quarantined(tmp_path: Path, bad: bytes) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.add_bytes(b"picture").digest
    damage(blobs.path(digest), bad)

    with pytest.raises(CorruptBlob) as caught:
        blobs.verified(digest)

    assert not blobs.has(digest)
    assert blobs.was_corrupt(digest)
    assert caught.value.moved_to.read_bytes() == bad
    note = json.loads(caught.value.moved_to.with_suffix(".json").read_text())
    assert digest in note["reason"]
    assert [path for path, _ in blobs.quarantined()] == [caught.value.moved_to]
    with pytest.raises(MissingBlob):
        blobs.verified(digest)


def test_a_size_that_differs_is_damage_before_anything_is_hashed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.add_bytes(b"picture").digest

    with pytest.raises(CorruptBlob):
        blobs.verified(digest, 8)


def test_adding_good_bytes_heals_a_damaged_blob(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.add_bytes(b"picture").digest
    damage(blobs.path(digest), b"pictuRe")

    blobs.add_bytes(b"picture")

    assert blobs.verified(digest).read_bytes() == b"picture"


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_text_that_is_no_digest_names_no_file(tmp_path: Path, digest: str) -> None:
    blobs = Blobs(tmp_path)

    assert not blobs.has(digest)
    with pytest.raises(StorageError, match="not a SHA-256 digest"):
        blobs.verified(digest)
    with pytest.raises(StorageError, match="not a SHA-256 digest"):
        blobs.remove(digest)


def test_a_symbolic_link_is_not_taken_over(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    (tmp_path / "secret").write_bytes(b"key")
    link = blobs.scratch()
    link.symlink_to(tmp_path / "secret")

    with pytest.raises(StorageError):
        blobs.add_file(link)

    assert (tmp_path / "secret").read_bytes() == b"key"


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(StorageError, match="not a regular file"):
        blobs.add_file(tmp_path / "fifo")


def test_a_file_with_a_second_name_is_copied(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    file = a_file(blobs, b"picture")
    (tmp_path / "other").hardlink_to(file)

    digest = blobs.add_file(file).digest
    (tmp_path / "other").write_bytes(b"changed")

    assert blobs.verified(digest).read_bytes() == b"picture"
    assert not file.exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_file_from_another_disk_is_taken_over(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    far = Path("/dev/shm") / f"imgbuild-test-{os.getpid()}"
    far.write_bytes(b"picture")

    digest = blobs.add_file(far).digest

    assert blobs.verified(digest).read_bytes() == b"picture"
    assert not far.exists()


def test_a_copy_leaves_the_original(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    (tmp_path / "mine.png").write_bytes(b"retouched")

    digest = blobs.add_copy(tmp_path / "mine.png").digest

    assert (tmp_path / "mine.png").read_bytes() == b"retouched"
    assert (tmp_path / "mine.png").stat().st_mode & 0o200
    assert blobs.verified(digest).read_bytes() == b"retouched"
    assert list(blobs.scratch().parent.iterdir()) == []


def test_unusable_bytes_are_kept_with_a_note(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    file = a_file(blobs, b"<html>")

    moved = blobs.quarantine(file, "HTML where an image was asked for")

    assert moved.read_bytes() == b"<html>"
    assert json.loads(moved.with_suffix(".json").read_text())["reason"].startswith("HTML")
    assert not file.exists()
    assert not blobs.corrupt_digests()


def test_a_blob_that_was_swapped_for_a_link_is_damage(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    digest = blobs.add_bytes(b"picture").digest
    (tmp_path / "elsewhere").write_bytes(b"picture")
    blobs.path(digest).unlink()
    blobs.path(digest).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CorruptBlob):
        blobs.verified(digest)

    assert (tmp_path / "elsewhere").read_bytes() == b"picture"


def test_strange_files_among_the_blobs_are_no_blobs(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blob = blobs.add_bytes(b"picture")
    (tmp_path / "blobs" / "README").write_bytes(b"?")
    (tmp_path / "blobs" / "zz").mkdir()
    (tmp_path / "blobs" / "zz" / sha("misplaced")).write_bytes(b"misplaced")

    assert [entry.digest for entry in blobs.entries()] == [blob.digest]


def test_a_cache_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError) as caught:
        Blobs(tmp_path / "file" / "cache").add_bytes(b"x")

    assert str(tmp_path / "file") in caught.value.message
    assert "\n" not in caught.value.message


def test_removing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.add_bytes(b"x").digest

    assert blobs.remove(digest) is True
    assert blobs.remove(digest) is False
    assert not blobs.has(digest)
