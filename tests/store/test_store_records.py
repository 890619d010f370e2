import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import a_result, an_output, sha

from imgbuild.core.errors import StorageError
from imgbuild.store.encoding import Pin
from imgbuild.store.records import Records


def test_a_result_is_found_by_key_and_take(tmp_path: Path) -> None:
    records = Records(tmp_path)
    first, second = a_result(sha("a")), a_result(sha("b"), take=3)

    records.put_result(second)
    records.put_result(first)

    assert records.result(sha("key"), 1) == first
    assert records.result(sha("key"), 3) == second
    assert records.result(sha("key"), 2) is None
    assert records.result(sha("other"), 1) is None
    assert records.takes(sha("key")) == (1, 3)
    assert records.takes(sha("other")) == ()
    assert records.all_results() == (first, second)


def test_a_result_is_found_by_what_was_declared(tmp_path: Path) -> None:
    records = Records(tmp_path)
    old = a_result(sha("a"), key="old", declared=(sha("size"), sha("legacy")))
    new = a_result(sha("b"), key="new", declared=(sha("size"),))
    records.put((old, new))

    assert records.by_declared(sha("size")) == (old.key, new.key)
    assert records.by_declared(sha("legacy")) == (old.key,)
    assert records.by_declared(sha("unknown")) == ()

    records.drop((old,))

    assert records.by_declared(sha("size")) == (new.key,)
    assert records.by_declared(sha("legacy")) == ()


def test_outputs_are_found_by_recipe_and_by_their_bytes(tmp_path: Path) -> None:
    records = Records(tmp_path)
    one = an_output(sha("one"), source=sha("s"))
    two = an_output(sha("two"), source=sha("s"), encoder="libvips 9 png")
    same = an_output(sha("one"), source=sha("s"), recipe="other")

    records.put_output(one)
    records.put_outputs([two, same])

    assert records.outputs(sha("recipe")) == {one.encoder: one, two.encoder: two}
    assert records.outputs(sha("unknown")) == {}
    assert set(records.made_by(sha("one"))) == {sha("recipe"), sha("other")}
    assert records.made_by(sha("unknown")) == ()
    assert len(records.all_outputs()) == 3


def test_that_bytes_are_ours_stays_known(tmp_path: Path) -> None:
    records = Records(tmp_path)
    output = an_output(sha("one"), source=sha("s"))
    records.put_output(output)
    records.drop((output,))

    assert records.outputs(sha("recipe")) == {}
    assert records.made_by(sha("one")) == (sha("recipe"),)


def test_a_pin_is_replaced(tmp_path: Path) -> None:
    records = Records(tmp_path)
    url = "https://example.com/a.png?sig=1"

    assert records.pin(url) is None
    records.put_pin(url, sha("old"))
    records.put_pin(url, sha("new"))
    records.drop((Pin(url, sha("old")),))

    assert records.pin(url) == sha("new")
    assert records.all_pins() == (Pin(url, sha("new")),)


def test_dropping_what_was_replaced_drops_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.put_result(a_result(sha("new")))

    records.drop((a_result(sha("old")),))

    assert records.result(sha("key"), 1) == a_result(sha("new"))


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    records = Records(tmp_path)

    with pytest.raises(ValueError, match="not a valid"):
        records.put((a_result(sha("a")), a_result("no digest", key="other")))

    assert records.all_results() == ()


def test_records_outlive_the_object(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.put_result(a_result(sha("a")))
    records.close()

    again = Records(tmp_path)

    assert again.result(sha("key"), 1) == a_result(sha("a"))
    assert again.warnings() == ()
    assert records.result(sha("key"), 1) == a_result(sha("a"))


def test_threads_share_records(tmp_path: Path) -> None:
    records = Records(tmp_path)

    def add(number: int) -> None:
        for take in range(1, 11):
            records.put_result(a_result(sha(f"{number}-{take}"), key=f"k{number}", take=take))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(records.all_results()) == 80


def test_the_database_is_private_and_has_no_value_files(tmp_path: Path) -> None:
    records = Records(tmp_path / "cache")
    records.put_result(a_result(sha("a"), spec={"prompt": "x" * 1_000_000}))

    assert (tmp_path / "cache" / "records").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in (tmp_path / "cache" / "records").iterdir()} <= {
        "cache.db",
        "cache.db-wal",
        "cache.db-shm",
    }
    assert len(records.result(sha("key"), 1).spec["prompt"]) == 1_000_000


def test_nothing_is_ever_evicted(tmp_path: Path) -> None:
    Records(tmp_path).put_result(a_result(sha("a")))

    with sqlite3.connect(tmp_path / "records" / "cache.db") as connection:
        settings = dict(connection.execute("SELECT key, value FROM Settings"))
    connection.close()

    assert settings["eviction_policy"] == "none"
    assert settings["cull_limit"] == 0
    assert settings["size_limit"] == 1 << 62


def test_a_cache_below_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError) as caught:
        Records(tmp_path / "file").result(sha("key"), 1)

    assert str(tmp_path / "file") in caught.value.message
    assert "\n" not in caught.value.message


def test_a_folder_that_names_a_variable_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere"))

    with pytest.raises(StorageError, match="name of a variable"):
        Records(tmp_path / "$ELSEWHERE").result(sha("key"), 1)

    assert not (tmp_path / "elsewhere").exists()


moves = st.lists(
    st.tuples(st.sampled_from(["put", "drop"]), st.integers(1, 2), st.sampled_from("ab"), st.booleans()),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(moves=moves)
def test_records_behave_like_a_dictionary(tmp_path_factory, moves) -> None:
    records = Records(tmp_path_factory.mktemp("records"))
    model: dict[tuple[str, int], str] = {}
    for verb, take, digest, reopen in moves:
        result = a_result(sha(digest), take=take)
        if verb == "put":
            records.put_result(result)
            model[result.key, take] = result.digest
        else:
            records.drop((result,))
            if model.get((result.key, take)) == result.digest:
                del model[result.key, take]
        if reopen:
            records.close()

    assert {(r.key, r.take): r.digest for r in records.all_results()} == model
    records.close()
