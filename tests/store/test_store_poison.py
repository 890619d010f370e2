"""Rows that diskcache itself would execute, read files for, or delete files for."""

import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_samples import a_result, keep_result, sha

from imgbuild.core.errors import StorageError
from imgbuild.store.cache import Cache
from imgbuild.store.database import TextDisk
from imgbuild.store.encoding import dump, to_json
from imgbuild.store.records import Records

COLUMNS = "key, raw, store_time, access_time, access_count, size, mode, filename, value"


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def sql(root: Path, statement: str, *values) -> None:
    with closing(sqlite3.connect(root / "records" / "cache.db")) as connection, connection:
        connection.execute(statement, values)


def poison(root: Path, key, raw, mode, filename, value) -> None:
    name = "INSERT OR REPLACE INTO Cache(" + COLUMNS + ") VALUES (?, ?, 0, 0, 0, 0, ?, ?, ?)"
    sql(root, name, key, raw, mode, filename, value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    records = Records(folder)
    records.put_result(a_result(sha("good"), key="good"))
    records.close()
    return folder


def use_everything(root: Path) -> Records:
    records = Records(root)
    assert records.result(sha("key"), 1) is None
    assert records.takes(sha("key")) == ()
    records.all_outputs()
    records.all_pins()
    assert records.all_results() == (a_result(sha("good"), key="good"),)
    records.put_result(a_result(sha("new")))
    assert records.result(sha("key"), 1) == a_result(sha("new"))
    records.drop((a_result(sha("new")),))
    return records


@pytest.mark.parametrize("mode", [0, 2, 3, 4, 5, None, "x"])
def test_a_pickled_value_is_absent_and_never_loaded(root: Path, tmp_path: Path, mode) -> None:
    trap = tmp_path / "executed"
    poison(root, f"result/{sha('key')}", 1, mode, None, pickle.dumps(Trap(trap)))

    use_everything(root)

    assert not trap.exists()


def test_a_pickled_key_is_passed_over(root: Path, tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    for raw in (0, 1):
        poison(root, pickle.dumps(Trap(trap)), raw, 0, None, "{}")

    use_everything(root)

    assert not trap.exists()


@pytest.mark.parametrize("mode", [0, 2, 3, 4])
def test_a_file_name_is_neither_read_nor_deleted(root: Path, tmp_path: Path, mode: int) -> None:
    trap = tmp_path / "executed"
    victim = tmp_path / "victim"
    good = dump({"1": to_json(a_result(sha("planted")))})
    victim.write_bytes(pickle.dumps(Trap(trap)) if mode == 4 else good.encode())
    for filename in ("../../victim", str(victim)):
        poison(root, f"result/{sha('key')}", 1, mode, filename, good if mode == 0 else None)
        use_everything(root)

    assert victim.exists()
    assert not trap.exists()


@pytest.mark.parametrize(
    "value",
    ["", "null", "7", "[]", '{"1": 7}', '{"1": {"digest": "../../x"}}', "[" * 50_000, 7, 1.5, None, b"{}"],
)
def test_a_value_of_another_shape_is_absent(root: Path, value) -> None:
    for row in ("result", "output", "declared", "made", "pin"):
        poison(root, f"{row}/{sha('key')}", 1, 1, None, value)

    records = use_everything(root)

    assert records.by_declared(sha("key")) == ()
    assert records.made_by(sha("key")) == ()


def test_a_result_under_another_key_is_absent(root: Path) -> None:
    poison(root, f"result/{sha('key')}", 1, 1, None, dump({"1": to_json(a_result(sha("x"), key="good"))}))

    use_everything(root)


@pytest.mark.parametrize("key", ["_disk", "get", "disk_evil", "sqlite_writable_schema", "sqlite_x; DROP"])
def test_settings_that_diskcache_would_obey_are_damage(root: Path, tmp_path: Path, key: str) -> None:
    sql(root, "INSERT OR REPLACE INTO Settings VALUES (?, 1)", key)

    records = Records(root)

    assert records.all_results() == ()
    assert "unknown settings" in records.warnings()[0]


def test_doubled_settings_are_damage(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    result = keep_result(cache, b"picture")
    cache.close()
    (tmp_path / "records" / "cache.db").unlink()
    sql(tmp_path, "CREATE TABLE Settings (key TEXT, value)")
    for value in (1, 2):
        sql(tmp_path, "INSERT INTO Settings VALUES ('count', ?)", value)

    again = Cache(tmp_path)

    assert again.records.result(result.key, 1) == result
    assert "damaged" in again.warnings()[0]


def test_text_that_is_no_text_is_damage_and_rebuilt(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    result = keep_result(cache, b"picture")
    sql(tmp_path, "UPDATE Cache SET value = CAST(x'ff' AS TEXT)")

    assert cache.records.result(result.key, 1) == result
    assert cache.records.all_results() == (result,)
    assert "damaged" in cache.warnings()[0]
    assert cache.warnings() == ()


def test_a_table_of_another_shape_is_damage_and_rebuilt(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    result = keep_result(cache, b"picture")
    cache.close()
    sql(tmp_path, "ALTER TABLE Cache RENAME COLUMN value TO other")

    again = Cache(tmp_path)

    assert again.records.result(result.key, 1) == result
    assert "damaged" in again.warnings()[0]


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
@pytest.mark.parametrize("filler", [b"\0", b"garbage "])
def test_a_garbage_database_is_moved_aside_and_rebuilt(tmp_path: Path, size: int, filler: bytes) -> None:
    cache = Cache(tmp_path)
    results = tuple(sorted((keep_result(cache, b"%d" % n, take=n) for n in (1, 2)), key=lambda r: r.take))
    cache.close()
    for path in (tmp_path / "records").iterdir():
        path.unlink()
    (tmp_path / "records" / "cache.db").write_bytes((filler * size)[:size])

    again = Cache(tmp_path)

    assert again.records.all_results() == results
    (warning,) = again.warnings()
    assert "rebuilt" in warning
    assert "\n" not in warning


def test_a_database_damaged_while_it_is_open_is_rebuilt(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    results = [keep_result(cache, b"%d" % n, take=n, spec={"prompt": "x" * 9000}) for n in range(1, 6)]
    cache.close()
    path = tmp_path / "records" / "cache.db"
    assert cache.records.takes(results[0].key) == (1, 2, 3, 4, 5)
    cache.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)

    assert cache.records.all_results() == tuple(results)
    assert "damaged" in cache.warnings()[0]


def test_a_locked_database_is_a_clear_error(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keep_result(cache, b"picture")
    cache.close()
    holder = sqlite3.connect(tmp_path / "records" / "cache.db", isolation_level=None)
    with closing(holder):
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another program") as caught:
            Cache(tmp_path).records.result(sha("key"), 1)

    assert str(tmp_path) in caught.value.message
    assert caught.value.remedy


def test_a_database_that_is_locked_after_opening_is_a_clear_error(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keep_result(cache, b"picture")
    holder = sqlite3.connect(tmp_path / "records" / "cache.db", isolation_level=None)
    with closing(holder):
        holder.execute("BEGIN IMMEDIATE")
        assert cache.records.takes(sha("key")) == (1,)
        with pytest.raises(StorageError, match="locked by another program"):
            cache.records.put_result(a_result(sha("x"), take=2))
        holder.execute("ROLLBACK")

    assert cache.records.takes(sha("key")) == (1,)


def test_the_disk_takes_text_only(tmp_path: Path) -> None:
    disk = TextDisk(str(tmp_path))

    for key in (b"x", 1, ("a",), None):
        with pytest.raises(TypeError):
            disk.put(key)
    for value in (b"x", 1, ["a"], None):
        with pytest.raises(TypeError):
            disk.store(value, False)
    with pytest.raises(TypeError):
        disk.store("x", True)
    with pytest.raises(TypeError):
        disk.filename()
