import threading
from pathlib import Path

import pytest

from imgbuild.core.errors import StorageError
from imgbuild.store.guard import exclusive, shared


def test_shared_holders_do_not_exclude_each_other(tmp_path: Path) -> None:
    with shared(tmp_path / "lock"), shared(tmp_path / "lock", timeout=0):
        pass


@pytest.mark.parametrize("held", [shared, exclusive])
def test_an_exclusive_holder_is_alone_and_says_so(tmp_path: Path, held) -> None:
    path = tmp_path / "lock"

    with (
        held(path),
        pytest.raises(StorageError, match="another imgbuild has held it"),
        exclusive(path, timeout=0),
    ):
        pass
    with exclusive(path, timeout=0):
        pass


def test_a_waiter_gets_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[str] = []
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        with exclusive(path):
            order.append("second")

    with exclusive(path):
        thread = threading.Thread(target=wait)
        thread.start()
        waiting.wait()
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_a_lock_below_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="Not a directory"), shared(tmp_path / "file" / "lock"):
        pass
