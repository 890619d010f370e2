"""Many questions at one moment: the same answers as one by one, and none that changes under way."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_samples import a_result, an_output, sha

from imgbuild.core.errors import StorageError
from imgbuild.store.cache import Cache
from imgbuild.store.records import Records


def test_the_answers_are_those_of_questions_one_by_one(tmp_path: Path) -> None:
    records = Records(tmp_path)
    result = a_result(sha("a"), declared=(sha("size"),))
    output = an_output(sha("one"), source=sha("a"))
    records.put((result, output))
    records.put_pin("https://example.com/a.png", sha("pin"))

    with records.at_one_moment():
        assert records.result(sha("key"), 1) == result
        assert records.result(sha("key"), 2) is None
        assert records.takes(sha("key")) == (1,)
        assert records.by_declared(sha("size")) == (result.key,)
        assert records.outputs(sha("recipe")) == {output.encoder: output}
        assert records.made_by(sha("one")) == (sha("recipe"),)
        assert records.pin("https://example.com/a.png") == sha("pin")
        assert records.pin("https://example.com/b.png") is None


@pytest.mark.parametrize("others", [1, 60_000], ids=["few", "more than are kept in memory"])
def test_what_is_there_is_found_however_much_was_asked_for_in_vain(tmp_path: Path, others: int) -> None:
    records = Records(tmp_path)
    result = a_result(sha("a"))
    records.put_result(result)
    rows = ((f"zz/{n}", 1, 1, "{}") for n in range(others))
    with closing(sqlite3.connect(tmp_path / "records" / "cache.db")) as database, database:
        database.executemany("INSERT INTO Cache (key, raw, mode, value) VALUES (?, ?, ?, ?)", rows)

    with records.at_one_moment():
        assert [records.result(f"not there {n}", 1) for n in range(300)] == [None] * 300
        assert records.result(result.key, 1) == result
        assert records.result(sha("other key"), 1) is None


def test_what_another_writes_meanwhile_is_seen_afterwards(tmp_path: Path) -> None:
    records, other = Records(tmp_path), Records(tmp_path)
    records.open()

    with records.at_one_moment():
        assert records.result(sha("key"), 1) is None
        other.put_result(a_result(sha("a")))
        assert records.result(sha("key"), 1) is None

    assert records.result(sha("key"), 1) == a_result(sha("a"))


def test_a_moment_in_which_nothing_is_asked_opens_nothing(tmp_path: Path) -> None:
    with Records(tmp_path / "cache").at_one_moment():
        pass

    assert not (tmp_path / "cache").exists()


def test_a_database_that_is_damaged_at_the_moment_is_rebuilt_as_ever(tmp_path: Path) -> None:
    records = Records(tmp_path)
    many = [a_result(sha(f"{n}"), key=f"{n}") for n in range(500)]
    records.put(many)
    records.close()

    with records.at_one_moment():
        assert records.result(many[0].key, 1) == many[0]
        with (tmp_path / "records" / "cache.db").open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(4096)
            file.write(b"!" * (size - 4096))
        # No sidecars were written for them, so that the rebuilt database does not have them.
        found = [records.result(one.key, 1) for one in many]

    assert all(one in (expected, None) for one, expected in zip(found, many, strict=True))
    assert None in found
    assert any("damaged" in warning for warning in records.warnings())
    assert records.all_results() == ()


def test_the_journal_is_listed_once_for_all_keys(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.journal.append(sha("a"), {"event": "nothing that anybody knows"})

    with cache.at_one_moment():
        assert cache.journal.open_jobs(sha("b")) == ()
        with pytest.raises(StorageError, match="cannot understand"):
            cache.journal.open_jobs(sha("a"))
        cache.journal.append(sha("b"), {"event": "nothing that anybody knows"})
        assert cache.journal.open_jobs(sha("b")) == (), "it was not there at that moment"

    with pytest.raises(StorageError, match="cannot understand"):
        cache.journal.open_jobs(sha("b"))


def test_a_journal_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    (tmp_path / "jobs").write_text("a file in the place of the folder")

    with cache.at_one_moment(), pytest.raises(StorageError, match="jobs"):
        cache.journal.open_jobs(sha("a"))


def test_a_cache_that_was_replaced_is_another_one(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.records.put_result(a_result(sha("a")))
    cache.close()
    before = cache.identity
    assert Cache(tmp_path / "cache").identity == before

    shutil.copytree(tmp_path / "cache", tmp_path / "copy")
    shutil.rmtree(tmp_path / "cache")
    assert cache.identity != before
    (tmp_path / "copy").rename(tmp_path / "cache")
    assert cache.identity != before
