"""Several processes on one cache and one lock: nothing is lost, nothing is torn."""

import json
import multiprocessing
import shutil
import threading
from pathlib import Path

import pytest
from store_samples import keep_output, keep_result, sha

from imgbuild.store.blobs import MissingBlob
from imgbuild.store.cache import open_cache
from imgbuild.store.lockfile import read_text, update
from imgbuild.store.workdir import DroppedOutput, Workdir

SPAWN = multiprocessing.get_context("spawn")


def run_together(work, *arguments) -> None:
    """Run `work(number, *arguments)` in processes that start working at the same moment."""
    count = 4
    barrier = SPAWN.Barrier(count)
    processes = [SPAWN.Process(target=work, args=(n, barrier, *arguments)) for n in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count


def fill(number: int, barrier, root: Path) -> None:
    barrier.wait()
    cache = open_cache(root)
    for turn in range(15):
        same = keep_result(cache, b"same %d" % turn, key="same", take=turn + 1)
        mine = keep_result(cache, b"mine %d %d" % (number, turn), key=f"k{number}", take=turn + 1)
        keep_output(cache, b"out %d" % turn, source=same.digest, recipe=f"r{turn}", encoder=f"e{number}")
        assert cache.blobs.verified(mine.digest).exists()
    assert cache.warnings() == ()


def add_to_lock(number: int, barrier, path: Path) -> None:
    barrier.wait()
    for turn in range(50):

        def merge(old: str | None, name: str = f"{number}-{turn}") -> str:
            return json.dumps(json.loads(old or "{}") | {name: 1}, sort_keys=True)

        update(path, merge)


def drop_outputs(number: int, barrier, project: Path) -> None:
    barrier.wait()
    for turn in range(10):
        Workdir(project).remember_dropped([DroppedOutput(f"{number}-{turn}", sha("x"))])


def open_records(number: int, barrier, root: Path) -> None:
    cache = open_cache(root)
    barrier.wait()
    assert len(cache.records.all_results()) == 20


def fill_or_collect(number: int, barrier, root: Path) -> None:
    barrier.wait()
    cache = open_cache(root)
    for turn in range(15):
        if number == 0:
            cache.gc(max_bytes=0)
        else:
            keep_result(cache, b"%d" % turn, key=f"k{number}", take=turn + 1)


def test_processes_fill_one_cache(tmp_path: Path) -> None:
    run_together(fill, tmp_path)

    cache = open_cache(tmp_path)
    stats = cache.stats()
    assert stats.results == 15 + 4 * 15
    assert stats.outputs == 4 * 15
    assert stats.blobs == 15 + 4 * 15 + 15
    report = cache.verify(repair=False)
    assert report.ok
    assert report.rebuilt == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_processes_update_one_lock(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"

    run_together(add_to_lock, path)

    assert len(json.loads(read_text(path) or "")) == 200
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".imgbuild", "imgbuild.lock"]


def test_threads_update_one_lock(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"
    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=add_to_lock, args=(n, barrier, path)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(json.loads(read_text(path) or "")) == 200


def test_processes_remember_dropped_outputs(tmp_path: Path) -> None:
    run_together(drop_outputs, tmp_path)

    assert len(Workdir(tmp_path).dropped()) == 40


@pytest.mark.parametrize("loss", ["deleted", "garbage"])
def test_processes_find_the_records_lost_at_once(tmp_path: Path, loss: str) -> None:
    cache = open_cache(tmp_path)
    for take in range(1, 21):
        keep_result(cache, b"%d" % take, take=take)
    cache.close()
    shutil.rmtree(tmp_path / "records")
    if loss == "garbage":
        (tmp_path / "records").mkdir()
        (tmp_path / "records" / "cache.db").write_bytes(b"garbage" * 1000)

    run_together(open_records, tmp_path)

    assert len(list(tmp_path.glob("records.damaged-*"))) == (loss == "garbage")


def test_garbage_collection_beside_writers_leaves_no_record_without_a_blob(tmp_path: Path) -> None:
    run_together(fill_or_collect, tmp_path)

    cache = open_cache(tmp_path)
    assert cache.verify(repair=False).ok
    for result in cache.records.all_results():
        assert cache.blobs.has(result.digest)
    with pytest.raises(MissingBlob):
        cache.blobs.verified(sha("never added"))
