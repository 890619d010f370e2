import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from store_samples import a_result, an_output, damage, keep_output, keep_result, sha, write_scratch

from imgbuild.core.errors import StorageError
from imgbuild.store.blobs import MissingBlob
from imgbuild.store.cache import Cache, default_cache_dir, open_cache
from imgbuild.store.sidecars import read_sidecars, sidecar_path


def test_opening_a_cache_creates_nothing_and_imports_no_database(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from imgbuild.store.cache import open_cache\n"
        "cache = open_cache(Path(sys.argv[1]))\n"
        "assert not cache.blobs.has('0' * 64) and cache.warnings() == ()\n"
        "cache.close()\n"
        "print(sorted({'diskcache', 'sqlite3', 'filelock', 'platformdirs'} & set(sys.modules)))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cache")], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
    assert not (tmp_path / "cache").exists()


def test_a_result_is_kept_as_blob_sidecar_and_record(tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "cache")
    file = write_scratch(cache, b"picture")

    result = cache.keep_result(file, lambda blob: a_result(blob.digest, size=blob.bytes))

    assert result.digest == sha("picture")
    assert cache.blobs.verified(result.digest).read_bytes() == b"picture"
    sidecar = cache.blobs.path(result.digest).with_name(f"{result.digest}.{result.key[:16]}.1.json")
    assert sidecar == sidecar_path(cache.blobs, result)
    assert json.loads(sidecar.read_text())["result"]["image_id"] == "hero"
    assert cache.records.result(result.key, 1) == result
    assert not file.exists()
    assert cache.warnings() == ()
    assert cache.root.stat().st_mode & 0o777 == 0o700


def test_outputs_and_pins_are_kept(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    master = keep_result(cache, b"master")
    files = [write_scratch(cache, b"%d" % number) for number in range(3)]
    outputs = cache.keep_outputs(
        (
            file,
            lambda blob, n=number: an_output(
                blob.digest, size=blob.bytes, source=master.digest, recipe=f"recipe {n}"
            ),
        )
        for number, file in enumerate(files)
    )
    one = keep_output(cache, b"0", source=master.digest, encoder="another")
    pinned = cache.keep_pin("https://example.com/a.png", write_scratch(cache, b"reference"))

    assert [output.digest for output in outputs] == [sha("0"), sha("1"), sha("2")]
    assert cache.records.outputs(sha("recipe 1")) == {outputs[1].encoder: outputs[1]}
    assert set(cache.records.made_by(sha("0"))) == {sha("recipe 0"), sha("recipe")}
    assert cache.records.pin("https://example.com/a.png") == pinned.digest
    assert one.digest == outputs[0].digest
    stats = cache.stats()
    assert (stats.blobs, stats.results, stats.outputs, stats.pins) == (5, 1, 4, 1)
    assert stats.bytes == len(b"master") + 3 + len(b"reference")
    assert stats.quarantined == 0


def test_every_record_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    first = keep_result(cache, b"one", declared=(sha("size"),), cost=0.04, unit="USD", adopted=True)
    second = keep_result(cache, b"two", take=2, usage={"tokens": 7})
    output = keep_output(cache, b"out", source=first.digest)
    twin = keep_output(cache, b"out", source=first.digest, encoder="another")
    cache.keep_pin("https://example.com/a.png", write_scratch(cache, b"reference"))
    cache.close()
    shutil.rmtree(tmp_path / "records")

    again = open_cache(tmp_path)

    assert again.records.all_results() == (first, second)
    assert again.records.by_declared(sha("size")) == (first.key,)
    assert again.records.outputs(output.recipe_key) == {output.encoder: output, twin.encoder: twin}
    assert again.records.made_by(output.digest) == (output.recipe_key,)
    assert again.records.pin("https://example.com/a.png") == sha("reference")
    assert again.warnings() == ("the records were missing; 5 were rebuilt from the files",)


def test_the_later_of_two_results_of_one_take_wins_also_when_rebuilt(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    keep_result(cache, b"one", created="2026-01-01T00:00:00Z")
    later = keep_result(cache, b"two", created="2026-01-02T00:00:00Z")
    cache.close()
    shutil.rmtree(tmp_path / "records")

    assert open_cache(tmp_path).records.result(later.key, 1) == later


def test_a_result_can_be_noted_again_but_only_with_its_blob(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture")
    more = a_result(result.digest, size=result.bytes, declared=(sha("size"),))

    cache.note(more)

    assert cache.records.by_declared(sha("size")) == (result.key,)
    with pytest.raises(MissingBlob):
        cache.note(a_result(sha("absent")))
    assert cache.records.result(result.key, 1) == more


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "kind": "result", "result": {}}']
)
def test_a_sidecar_that_makes_no_sense_is_passed_over(tmp_path: Path, text: str) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture")
    sidecar_path(cache.blobs, result).write_text(text)

    assert list(read_sidecars(cache.blobs)) == []


def test_a_sidecar_of_another_blob_is_passed_over(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    one, two = keep_result(cache, b"one"), keep_result(cache, b"two", take=2)
    shutil.copyfile(sidecar_path(cache.blobs, one), sidecar_path(cache.blobs, two))

    assert list(read_sidecars(cache.blobs)) == [one]


def test_a_failure_before_the_blob_is_in_leaves_the_paid_file(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    file = write_scratch(cache, b"picture")
    (tmp_path / "blobs").write_bytes(b"in the way")

    with pytest.raises(StorageError, match="Not a directory"):
        cache.keep_result(file, lambda blob: a_result(blob.digest))

    assert file.read_bytes() == b"picture"
    assert cache.records.all_results() == ()


def test_verify_finds_nothing_in_a_sound_cache(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture")
    keep_output(cache, b"out", source=result.digest)

    report = cache.verify(repair=False)

    assert report.ok
    assert (report.blobs, report.bytes, report.rebuilt) == (2, 10, 0)


@pytest.mark.parametrize("bad", [b"pictur", b"pictuRe", bytes(7)], ids=["cut", "flip", "zero"])
def test_verify_reports_damage_and_a_repair_quarantines_it(tmp_path: Path, bad: bytes) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture")
    output = keep_output(cache, b"out", source=result.digest)
    for one in (result, output):
        damage(cache.blobs.path(one.digest), bad)

    report = cache.verify(repair=False)

    assert not report.ok
    assert {one.digest: one.image_ids for one in report.corrupt} == {
        result.digest: ("hero",),
        output.digest: (),
    }
    assert cache.blobs.has(result.digest)

    repaired = cache.verify(repair=True)

    assert {one.digest for one in repaired.corrupt} == {result.digest, output.digest}
    assert all(one.moved_to is not None and one.moved_to.read_bytes() == bad for one in repaired.corrupt)
    assert [lost.kind for lost in repaired.lost] == ["output"]
    assert cache.records.outputs(output.recipe_key) == {}
    assert cache.verify(repair=False).ok


def test_that_a_damaged_result_was_paid_for_is_never_forgotten(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture")
    damage(cache.blobs.path(result.digest), b"noise")
    cache.verify(repair=True)
    cache.close()
    shutil.rmtree(tmp_path / "records")

    again = open_cache(tmp_path)

    assert again.records.result(result.key, 1) == result
    assert again.blobs.was_corrupt(result.digest)
    assert not again.blobs.has(result.digest)


def test_a_repair_drops_records_of_deleted_blobs(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    gone, kept = keep_result(cache, b"gone"), keep_result(cache, b"kept", take=2)
    cache.keep_pin("https://example.com/a.png", write_scratch(cache, b"reference"))
    cache.blobs.remove(gone.digest)
    cache.blobs.remove(sha("reference"))

    report = cache.verify(repair=False)

    assert [(lost.kind, lost.name) for lost in report.lost] == [
        ("result", "hero"),
        ("pin", "https://example.com/a.png"),
    ]
    assert cache.records.result(gone.key, 1) == gone

    cache.verify(repair=True)

    assert cache.records.all_results() == (kept,)
    assert cache.records.all_pins() == ()
    assert cache.verify(repair=True).ok


def test_a_repair_puts_back_what_only_the_sidecars_know(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    result = keep_result(cache, b"picture")
    output = keep_output(cache, b"out", source=result.digest)
    cache.keep_pin("https://example.com/a.png", write_scratch(cache, b"reference"))
    cache.records.drop((*cache.records.all_results(), output, *cache.records.all_pins()))

    assert cache.verify(repair=False).rebuilt == 3
    assert cache.records.all_results() == ()
    assert cache.verify(repair=True).rebuilt == 3
    assert cache.records.all_results() == (result,)
    assert cache.verify(repair=True).rebuilt == 0


def test_a_cache_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = open_cache(tmp_path / "file" / "cache")

    for use in (cache.stats, cache.gc, cache.blobs.scratch, lambda: cache.verify(repair=True)):
        with pytest.raises(StorageError) as caught:
            use()
        assert str(tmp_path / "file") in caught.value.message
        assert "\n" not in caught.value.message


def test_the_folder_comes_from_the_environment(tmp_path: Path) -> None:
    assert default_cache_dir({"IMGBUILD_CACHE_DIR": str(tmp_path)}) == tmp_path
    assert default_cache_dir({"IMGBUILD_CACHE_DIR": "some/where"}).is_absolute()
    assert default_cache_dir({}).name == "imgbuild"
    assert default_cache_dir({"IMGBUILD_CACHE_DIR": " "}) == default_cache_dir({})
    assert isinstance(open_cache(tmp_path), Cache)
