"""What killed processes leave behind goes exactly when nobody uses it any more, and never before."""

import fcntl
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.core.errors import StorageError
from imgbuild.store.blobs import Blobs
from imgbuild.store.cache import open_cache
from imgbuild.store.fsio import sweep_temporaries, write_atomic
from imgbuild.store.lockfile import update

USE_SCRATCH = """
import sys
from pathlib import Path
from imgbuild.store.blobs import Blobs
blobs = Blobs(Path(sys.argv[1]))
path = blobs.scratch()
path.write_bytes(b"half a picture")
print(path, flush=True)
sys.stdin.read()
"""
WRITE_A_FILE = """
import sys
from pathlib import Path
from imgbuild.store.fsio import _replacing
with _replacing(Path(sys.argv[1]), sync=True) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""
SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def program(text: str, *arguments: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running program and its first line; it ends when its input does, and at the end of the block."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child that ends without any clean-up; returns its exit status."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_scratch_of_a_killed_process_goes_when_the_next_one_needs_some(tmp_path: Path) -> None:
    with program(USE_SCRATCH, tmp_path) as (process, path):
        process.kill()
    assert Path(path).read_bytes() == b"half a picture"

    blobs = Blobs(tmp_path)
    mine = blobs.scratch()

    assert names(tmp_path / "tmp") == [mine.parent.name, f"{mine.parent.name}.lock"]


@pytest.mark.parametrize("how", ["scratch", "sweep", "verify", "gc"])
def test_the_scratch_of_a_living_process_stays(tmp_path: Path, how: str) -> None:
    with program(USE_SCRATCH, tmp_path) as (process, path):
        process.send_signal(signal.SIGSTOP)
        cache = open_cache(tmp_path)
        os.utime(Path(path).parent, (1, 1))
        {
            "scratch": cache.blobs.scratch,
            "sweep": cache.blobs.sweep,
            "verify": lambda: cache.verify(repair=True),
            "gc": lambda: cache.gc(max_bytes=0),
        }[how]()
        assert Path(path).read_bytes() == b"half a picture"
        process.kill()
        process.wait()
        assert cache.blobs.sweep() == 1
        assert not Path(path).parent.exists()
        cache.close()


@pytest.mark.parametrize("how", ["verify", "gc"])
def test_the_cache_commands_sweep(tmp_path: Path, how: str) -> None:
    with program(USE_SCRATCH, tmp_path) as (process, path):
        process.kill()
    cache = open_cache(tmp_path)

    cache.verify(repair=True) if how == "verify" else cache.gc(max_bytes=0)
    cache.close()

    assert not Path(path).parent.exists()
    assert names(tmp_path / "tmp") == []


def test_a_dry_run_sweeps_nothing(tmp_path: Path) -> None:
    with program(USE_SCRATCH, tmp_path) as (process, path):
        process.kill()
    cache = open_cache(tmp_path)

    cache.gc(max_bytes=0, dry_run=True)
    cache.close()

    assert Path(path).exists()


def test_a_process_that_ends_leaves_nothing(tmp_path: Path) -> None:
    with program(USE_SCRATCH, tmp_path) as (process, path):
        Path(path).unlink()
        process.communicate()
        assert process.returncode == 0

    assert names(tmp_path / "tmp") == []


def test_what_a_process_forgot_in_its_scratch_goes_with_the_next_one(tmp_path: Path) -> None:
    with program(USE_SCRATCH, tmp_path) as (process, path):
        process.communicate()
    assert Path(path).exists()

    Blobs(tmp_path).scratch()

    assert not Path(path).parent.exists()


def test_two_stores_on_one_root_do_not_sweep_each_other(tmp_path: Path) -> None:
    first, second = Blobs(tmp_path), Blobs(tmp_path)
    one, two = first.scratch(), second.scratch()
    one.write_bytes(b"one")
    two.write_bytes(b"two")

    assert first.sweep() == second.sweep() == 0
    assert one.parent != two.parent
    assert (one.read_bytes(), two.read_bytes()) == (b"one", b"two")


def test_a_store_that_is_dropped_gives_its_folder_up(tmp_path: Path) -> None:
    Blobs(tmp_path).scratch()

    assert names(tmp_path / "tmp") == []


def test_threads_share_one_folder(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    barrier = threading.Barrier(8)
    paths: list[Path] = []

    def work() -> None:
        barrier.wait()
        paths.append(blobs.scratch())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(paths)) == 8
    assert len({path.parent for path in paths}) == 1
    assert len(names(tmp_path / "tmp")) == 2


def test_a_forked_child_has_a_folder_of_its_own(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    mine = blobs.scratch()

    def work() -> None:
        theirs = blobs.scratch()
        assert theirs.parent != mine.parent
        theirs.write_bytes(b"child")

    assert in_child(work) == 0
    mine.write_bytes(b"parent")

    assert Blobs(tmp_path).sweep() == 1
    assert mine.read_bytes() == b"parent"
    assert blobs.scratch().parent == mine.parent


@pytest.mark.parametrize("leave", [os._exit, sys.exit])
def test_a_forked_child_that_ends_does_not_give_its_parents_folder_up(tmp_path: Path, leave) -> None:
    script = (
        "import os, sys; from pathlib import Path; from imgbuild.store.blobs import Blobs\n"
        "blobs = Blobs(Path(sys.argv[1])); path = blobs.scratch()\n"
        f"if not os.fork(): {'os._exit' if leave is os._exit else 'sys.exit'}(0)\n"
        "os.wait()\n"
        "assert Blobs(Path(sys.argv[1])).sweep() == 0\n"
        "assert path.parent.is_dir() and blobs.scratch().parent == path.parent\n"
    )

    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)

    assert names(tmp_path / "tmp") == []


def test_a_folder_outlives_its_process_while_a_forked_child_may_write_to_it(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from imgbuild.store.blobs import Blobs\n"
        "blobs = Blobs(Path(sys.argv[1])); mine = blobs.scratch()\n"
        "if os.fork(): print(mine, flush=True); os._exit(0)\n"
        "sys.stdin.read()\n"
    )
    with program(script, tmp_path) as (process, path):
        process.wait()
        assert Blobs(tmp_path).sweep() == 0
        assert Path(path).parent.is_dir()


def test_a_folder_that_is_removed_while_in_use_is_made_again(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.scratch()
    shutil.rmtree(tmp_path / "tmp")

    path = blobs.scratch()
    path.write_bytes(b"picture")

    assert blobs.add_file(path).bytes == 7
    assert len(names(tmp_path / "tmp")) == 2


def scratch_again_and_again(number: int, barrier, root: Path) -> None:
    barrier.wait()
    for turn in range(40):
        blobs = Blobs(root)
        path = blobs.scratch()
        path.write_bytes(b"%d %d" % (number, turn))
        assert path.read_bytes() == b"%d %d" % (number, turn)
        if turn % 2:
            path.unlink()


def test_processes_that_come_and_go_never_sweep_each_other(tmp_path: Path) -> None:
    barrier = SPAWN.Barrier(4)
    processes = [SPAWN.Process(target=scratch_again_and_again, args=(n, barrier, tmp_path)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    Blobs(tmp_path).sweep()
    assert names(tmp_path / "tmp") == []


@pytest.mark.parametrize("step", range(1, 12))
def test_killed_at_any_step_of_its_making_a_folder_is_swept(tmp_path: Path, step: int) -> None:
    if not can_trace():
        pytest.skip("needs strace, and to be allowed to trace")
    script = "import sys; from pathlib import Path; from imgbuild.store.blobs import Blobs\nBlobs(Path(sys.argv[1])).scratch()"
    calls = "mkdir,flock,rmdir,unlink"
    inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={calls}:signal=KILL:when={step}"]

    subprocess.run([*inject, sys.executable, "-c", script, str(tmp_path / "cache")], capture_output=True)

    blobs = Blobs(tmp_path / "cache")
    assert blobs.add_bytes(b"picture").bytes == 7
    assert len(names(tmp_path / "cache" / "tmp")) == 2


def can_trace() -> bool:
    strace = shutil.which("strace")
    return (
        bool(strace)
        and not subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True).returncode
    )


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_has_no_lock_goes_after_a_day(tmp_path: Path, kind: str) -> None:
    blobs = Blobs(tmp_path)
    own = blobs.scratch().parent
    for name in ("0" * 16, "1" * 16):
        if kind == "file":
            (tmp_path / "tmp" / name).write_bytes(b"of an older layout")
        else:
            (tmp_path / "tmp" / name).mkdir()
            (tmp_path / "tmp" / name / "x").write_bytes(b"somebody deleted its lock")
    now = own.stat().st_mtime
    os.utime(tmp_path / "tmp" / ("0" * 16), (now - 90_000, now - 90_000))

    assert blobs.sweep(now) == 1
    assert names(tmp_path / "tmp") == sorted([own.name, f"{own.name}.lock", "1" * 16])


def test_what_is_not_ours_in_the_scratch_stays(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "cache")
    blobs.scratch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"mine")
    tmp = tmp_path / "cache" / "tmp"
    (tmp / ("a" * 16)).symlink_to(outside)
    (tmp / f"{'a' * 16}.lock").write_bytes(b"")
    (tmp / ("b" * 16)).symlink_to(outside)
    (tmp / f"{'c' * 16}.lock").symlink_to(outside / "precious")
    (tmp / "notes").mkdir()
    for entry in tmp.iterdir():
        os.utime(entry, (1, 1), follow_symlinks=False)

    blobs.sweep()

    assert (outside / "precious").read_bytes() == b"mine"
    assert (tmp / "notes").is_dir()


def test_a_cache_that_is_a_file_gives_no_scratch_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")

    with pytest.raises(StorageError, match="cache: Not a directory"):
        Blobs(tmp_path / "cache").scratch()


# Temporary files beside what they are going to replace.


def temporaries(folder: Path) -> list[str]:
    return [name for name in names(folder) if re.fullmatch(r"\.imgbuild-[0-9a-f]{16}\.tmp", name)]


def test_a_killed_writer_leaves_a_temporary_file_that_is_swept(tmp_path: Path) -> None:
    with program(WRITE_A_FILE, tmp_path / "hero.png") as (process, _):
        assert len(temporaries(tmp_path)) == 1
        assert sweep_temporaries(tmp_path) == 0
        assert len(temporaries(tmp_path)) == 1
        process.kill()
        process.wait()

        assert sweep_temporaries(tmp_path) == 1
    assert names(tmp_path) == []


def test_a_writer_that_was_swept_around_ends_well(tmp_path: Path) -> None:
    with program(WRITE_A_FILE, tmp_path / "hero.png") as (process, _):
        sweep_temporaries(tmp_path)
        process.communicate()
        assert process.returncode == 0

    assert names(tmp_path) == ["hero.png"]
    assert (tmp_path / "hero.png").read_bytes() == b"half"


def test_only_regular_files_with_exactly_that_name_are_swept(tmp_path: Path) -> None:
    name = ".imgbuild-0123456789abcdef.tmp"
    keep = [
        ".imgbuild-0123456789abcde.tmp",
        ".imgbuild-0123456789ABCDEF.tmp",
        ".imgbuild-0123456789abcdef.tmp.png",
        "imgbuild-0123456789abcdef.tmp",
        ".imgbuild-0123456789abcdef.tmp\n",
    ]
    for one in keep:
        (tmp_path / one).write_bytes(b"mine")
    (tmp_path / name.replace("0", "1")).mkdir()
    (tmp_path / name.replace("0", "2")).symlink_to(keep[0])
    os.mkfifo(tmp_path / name.replace("0", "3"))
    before = names(tmp_path)
    (tmp_path / name).write_bytes(b"dead")

    assert sweep_temporaries(tmp_path) == 1
    assert names(tmp_path) == before


def test_sweeping_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert sweep_temporaries(tmp_path / "nowhere") == 0


def test_a_temporary_file_that_was_taken_for_a_dead_one_is_made_again(tmp_path: Path) -> None:
    """Sweepers without a pause beside writers: what they take between creation and lock is written anew."""
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            sweep_temporaries(tmp_path)

    sweepers = [threading.Thread(target=sweep) for _ in range(3)]
    for thread in sweepers:
        thread.start()
    try:
        for turn in range(300):
            write_atomic(tmp_path / f"{turn % 7}", b"%d" % turn, sync=False)
            assert (tmp_path / f"{turn % 7}").read_bytes() == b"%d" % turn
    finally:
        stop.set()
        for thread in sweepers:
            thread.join()

    assert names(tmp_path) == list("0123456")


@settings(deadline=None, max_examples=30)
@given(dead=st.integers(0, 5), alive=st.integers(0, 5))
def test_a_sweep_takes_the_dead_and_leaves_the_living(tmp_path_factory, dead: int, alive: int) -> None:
    folder = tmp_path_factory.mktemp("site")
    for number in range(dead):
        (folder / f".imgbuild-{number:016x}.tmp").write_bytes(b"dead")
    with ExitStack() as open_files:
        for number in range(alive):
            path = folder / f".imgbuild-{100 + number:016x}.tmp"
            file = open_files.enter_context(path.open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX)

        assert sweep_temporaries(folder) == dead
        assert len(names(folder)) == alive


def test_an_update_of_the_lock_sweeps_beside_it_but_only_when_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "imgbuild.lock"
    update(path, lambda _: "one")
    (tmp_path / ".imgbuild-0123456789abcdef.tmp").write_bytes(b"dead")

    assert update(path, lambda _: "one") is False
    assert len(temporaries(tmp_path)) == 1
    assert update(path, lambda _: "two") is True
    assert names(tmp_path) == [".imgbuild", "imgbuild.lock"]


def test_what_killed_writers_left_among_the_blobs_goes_with_a_sweep(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    path = blobs.path(blobs.add_bytes(b"picture").digest)
    blobs.quarantine(blobs.path(blobs.add_bytes(b"other").digest), "a test")
    for folder in (path.parent, tmp_path / "quarantine"):
        (folder / ".imgbuild-0123456789abcdef.tmp").write_bytes(b"half a note")

    assert blobs.sweep() == 2
    assert temporaries(path.parent) == temporaries(tmp_path / "quarantine") == []
    assert path.read_bytes() == b"picture"
