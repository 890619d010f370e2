"""F07: a disk that refuses a call is named in one line, nothing old is lost, and what was paid is gone on with."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from interception import Call, Verdict
from invariants import Snapshot
from project_folder import ProjectFolder, Run
from workload import JSON, Workload
from zygote import Zygote

CALLS = ("write", "pwrite64", "copy_file_range", "fsync", "fdatasync", "openat", "rename", "mkdir")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EMFILE, errno.EROFS)
LASTING = {
    errno.ENOSPC: ("write", "pwrite64", "copy_file_range", "mkdir"),
    errno.EIO: ("write", "pwrite64", "copy_file_range", "fsync", "fdatasync"),
    errno.EDQUOT: ("write", "pwrite64", "copy_file_range", "mkdir"),
    errno.EMFILE: ("openat",),
    errno.EROFS: (*CALLS[:-3], "rename", "mkdir", "unlink", "ftruncate", "fchmod", "utimensat"),
}
"""What a disk that is full, broken, over its quota or read-only refuses, and a process without descriptors."""
WITHOUT_HARM = re.compile(r"/records(/|$)|/jobs/|/\.imgbuild/|/index\.id$")
"""SQLite decides for itself what it can do without, and a paid task's later steps are in memory as well."""
NOISE = re.compile(r"Traceback|Exception ignored|never retrieved|never awaited|[Uu]nclosed")
"""What a program says that has lost its way."""

each_error = pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)


@pytest.fixture
def work(project: ProjectFolder, emulator, zygote: Zygote, outside: Snapshot) -> Workload:
    """The outputs of an earlier build are there, and every prompt has changed since."""
    work = Workload(project, emulator, zygote, outside)
    assert zygote.run(project, "build", *JSON).code == 0
    work.write(" at night")
    work.keep()
    return work


@pytest.mark.timeout(3600)
@each_error
def test_one_refused_call_is_named_and_harms_nothing(
    work: Workload, full: bool, count: Callable[[int], None], error: int
):
    place = ERRORS.index(error)
    made = _calls(work, CALLS, work.concerns)
    # Each error in places of its own, so that in full, together, they are everywhere.
    for name in CALLS if full else CALLS[place % 2 :: 2]:
        numbers = range(1 + place, made[name] + 1, len(ERRORS))
        for n in numbers if full else [1 + place * (made[name] - 1) // (len(ERRORS) - 1)]:
            refused, run = _refuse(work, [name], error, work.concerns, n, n)
            with _noted(f"{name} number {n}", refused):
                if run.code:
                    _is_named(work, run, refused)
                else:
                    assert not run.summary["failed"]
                    read = name in ("openat", "mkdir")
                    assert read or all(map(WITHOUT_HARM.search, refused)), "refused without a word"
                _nothing_is_lost(work, run)
            count(len(refused))


@pytest.mark.timeout(3600)
@each_error
def test_a_disk_that_refuses_from_some_moment_on_is_named_and_harms_nothing(
    work: Workload, full: bool, sample: Callable, count: Callable[[int], None], error: int
):
    calls = LASTING[error]
    total = _calls(work, calls, work.concerns).total()
    for n in range(1, total + 1, 5) if full else sample(range(1, total + 1), 3)[:2]:
        refused, run = _refuse(work, calls, error, work.concerns, n, total * 10)
        with _noted(f"from the call number {n} on", refused):
            if run.code:
                _is_named(work, run, refused)
            else:
                # What comes after everything is done, such as noting that it is, may fail without a word.
                done = work.zygote.run(work.project, "plan", "--exit-code").code == 0
                assert done or all(map(WITHOUT_HARM.search, refused)), "refused without a word"
            _nothing_is_lost(work, run)
        count(len(refused))


@pytest.mark.timeout(3600)
@each_error
def test_a_refusal_elsewhere_is_no_bug_and_harms_nothing(
    work: Workload, sample: Callable, count: Callable[[int], None], error: int
):
    def elsewhere(path: str) -> bool:
        return not work.concerns(path)

    for name, total in _calls(work, ("write", "openat"), elsewhere).items():
        for n in sample(range(1, total + 1), 1):
            refused, run = _refuse(work, [name], error, elsewhere, n, n)
            with _noted(f"{name} number {n}", refused):
                assert run.code in (0, 1)
                _nothing_is_lost(work, run)
            count(len(refused))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("limit", ["n", "f"], ids=["open files", "file size"])
def test_real_limits_of_a_process_are_named_and_harm_nothing(
    work: Workload, sample: Callable, count: Callable[[int], None], limit: str
):
    # Fewer descriptors than these, and Python itself cannot start. A block is 512 bytes: the records alone
    # need 400 of them, and each picture some.
    values = range(5, 48) if limit == "n" else [*range(1, 16), *range(16, 512, 16)]
    ends = Counter()
    for value in sample(values, 4):
        work.begin()
        done = subprocess.run(
            ["sh", "-c", f'ulimit -{limit} {value}; exec "$0" -m imgbuild build "$@"', sys.executable, *JSON],
            cwd=work.project.root,
            env=work.project.environ,
            capture_output=True,
            text=True,
        )
        run = Run(done.returncode, done.stdout, done.stderr)
        with _noted(f"ulimit -{limit} {value}", ()):
            assert not NOISE.search(run.err), run.err
            assert run.code in (0, 1)
            if run.code:
                _messages(run)
            _nothing_is_lost(work, run)
            assert not list(work.project.root.rglob(".imgbuild-*.tmp"))
        ends[run.code] += 1
        count(run.code)
    assert set(ends) == {0, 1}


def _calls(work: Workload, calls: Collection[str], concerns: Callable[[str], bool]) -> Counter[str]:
    """How often a build that nothing happens to makes each of these calls."""
    made: Counter[str] = Counter()

    def note(call: Call) -> Verdict:
        made[call.name] += any(map(concerns, call.paths))
        return None

    work.begin()
    assert work.build(calls, note).code == 0
    return made


def _refuse(
    work: Workload,
    calls: Collection[str],
    error: int,
    concerns: Callable[[str], bool],
    first: int,
    last: int,
) -> tuple[list[str], Run]:
    """A build of which some calls fail; returns what these were about."""
    made = 0
    refused = []

    def decide(call: Call) -> Verdict:
        nonlocal made
        if not any(map(concerns, call.paths)):
            return None
        made += 1
        if not first <= made <= last:
            return None
        refused.append(call.paths[-1])
        return error

    work.begin()
    return refused, work.build(calls, decide)


@contextmanager
def _noted(what: str, refused: Collection[str]) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        error.add_note(f"refused: {what}, {', '.join(refused)}")
        raise


def _messages(run: Run) -> list[str]:
    """What went wrong, in one line each."""
    failed = [event["error"] for event in run.events if event["event"] == "image" and event["error"]]
    errors = [event for event in run.events if event["event"] == "error"]
    messages = [one["message"] for one in (*failed, *errors)]
    assert messages, run
    assert not any("\n" in message for message in messages), messages
    return messages


def _is_named(work: Workload, run: Run, refused: Collection[str]) -> None:
    """One of the messages names a place where a call was refused."""
    messages = _messages(run)
    # Bytes are written under a name that no user knows; they are named for what they were to become.
    roots = [root for root in work.roots if any(Path(path).is_relative_to(root) for path in refused)]
    words = [word.strip(":;,()") for message in messages for word in message.split()]
    named = [work.project.root / word for word in words if word.startswith("/") or word == "imgbuild.yaml"]
    assert any(path.is_relative_to(root) for path in named for root in roots), messages


def _nothing_is_lost(work: Workload, run: Run) -> None:
    """Each output is still the old one or already the new one, and the next build needs no second payment."""
    work.check(run)
    for name in work.kept:
        assert (work.project.root / name).is_file(), f"I4: {name} is gone"
    work.converge(run)
