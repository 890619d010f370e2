"""F09: a lock or a journal that cannot be understood is never taken for an empty one, and never overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from invariants import check_invariants
from project_folder import ProjectFolder
from stored import Site, batches, failures, share, warnings

IMAGES: dict[str, dict[str, Any]] = {"hero": {"takes": 2}, "icon": {}}
FAULT = "[fault:drop-after-accept:1]"


@pytest.fixture
def site(project: ProjectFolder, emulator: Any, zygote: Any) -> Site:
    return Site(project, emulator, zygote)


def _changed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        lock = json.loads(data)
        change(lock)
        return json.dumps(lock, indent=2, sort_keys=True).encode() + b"\n"

    return damage


def _conflict(data: bytes) -> bytes:
    """What git leaves where two branches added an image in one gap."""
    lines = data.decode().splitlines(keepends=True)
    side = "".join(lines[2:4])
    marked = f"<<<<<<< HEAD\n{side}=======\n{side}>>>>>>> branch\n"
    return "".join([*lines[:2], marked, *lines[4:]]).encode()


def _doubled(data: bytes) -> bytes:
    return data.replace(b'"take": 1', b'"take": 1,\n      "take": 2', 1)


def _hero(lock: dict[str, Any]) -> dict[str, Any]:
    return lock["images"]["hero"]


LOCKS: dict[str, Callable[[bytes], bytes]] = {
    "half of it": lambda data: data[: len(data) // 2],
    "all but its last brace": lambda data: data.rstrip()[:-1],
    "nothing": lambda data: b"",
    "white space": lambda data: b" \n",
    "NULs": lambda data: bytes(len(data)),
    "NULs at its end": lambda data: data + bytes(512),
    "NULs in its middle": lambda data: data[:100] + bytes(100) + data[200:],
    "the mark of another encoding": lambda data: b"\xff\xfe" + data.decode().encode("utf-16-le"),
    "bytes that are no UTF-8": lambda data: data.replace(b"uniall", b"uni\xe4ll"),
    "conflict markers": _conflict,
    "conflict markers and Windows' line ends": lambda data: _conflict(data).replace(b"\n", b"\r\n"),
    "a member twice": _doubled,
    "an image twice": lambda data: data.replace(b'"icon": {', b'"hero": {', 1),
    "a future version": _changed(lambda lock: lock.update(version=2)),
    "a future version with other members": _changed(lambda lock: lock.update(version=7, pictures=[])),
    "no version": _changed(lambda lock: lock.pop("version")),
    "a version in words": _changed(lambda lock: lock.update(version="1")),
    "a list": lambda data: b"[]\n",
    "images as a list": _changed(lambda lock: lock.update(images=[])),
    "an image as a number": _changed(lambda lock: lock["images"].update(hero=1)),
    "no key": _changed(lambda lock: _hero(lock).pop("key")),
    "a key of another kind": _changed(lambda lock: _hero(lock).update(key="a lighthouse")),
    "a take below one": _changed(lambda lock: _hero(lock).update(take=0)),
    "a take that is true": _changed(lambda lock: _hero(lock).update(take=True)),
    "a member that nobody knows": _changed(lambda lock: _hero(lock).update(colour="red")),
    "a digest in capitals": _changed(lambda lock: _hero(lock)["source"].update(digest="A" * 64)),
    "a tower of brackets": lambda data: b"[" * 100_000,
    "a number of many digits": lambda data: data.replace(b'"take": 1', b'"take": ' + b"1" * 5000, 1),
}
"""What becomes of the lock's bytes."""

COMMANDS = [
    ["build"],
    ["build", "--locked"],
    ["build", "--frozen"],
    ["build", "--offline", "hero"],
    ["plan"],
    ["list", "--status"],
    ["restore"],
    ["pick", "hero", "2"],
    ["takes", "hero"],
    ["reroll", "hero"],
    ["show", "hero"],
    ["explain", "hero"],
    ["clean"],
    ["cache", "gc", "--max-size", "1"],
]


def is_refused(site: Site, words: Sequence[str]) -> None:
    """A command says which file it cannot read and what to do, and ends with 2."""
    run = site.run(*words, code=2)
    [error] = [event for event in run.events if event["event"] == "error"]
    assert "imgbuild.lock" in (error["file"] or "") + error["message"], words
    assert error["hint"], words
    assert "\n" not in error["message"]


@pytest.mark.parametrize("some", batches(LOCKS, 7))
def test_a_lock_that_cannot_be_read_stops_every_command_and_stays_as_it_is(
    site: Site, count: Any, some: list[tuple[int, str]]
) -> None:
    site.write(IMAGES)
    site.run("build")
    lock = site.project.root / "imgbuild.lock"
    good = lock.read_bytes()
    site.change("icon", prompt="another picture of icon")
    site.output().unlink()
    for number, how in some:
        bad = LOCKS[how](good)
        assert bad != good, how
        lock.write_bytes(bad)
        stamp = lock.stat().st_mtime_ns
        for words in share(COMMANDS, number, 2):
            count(1)
            is_refused(site, words)
            assert (lock.read_bytes(), lock.stat().st_mtime_ns) == (bad, stamp), (how, words)
    assert not site.output().exists()
    assert site.paid() == 3


STRANGE = ("a folder", "a link to itself", "a link to nothing", "a link to a lock")


@pytest.mark.parametrize("how", STRANGE)
def test_a_lock_that_is_no_plain_file_stops_every_command_and_stays_as_it_is(
    site: Site, count: Any, how: str, tmp_path: Path
) -> None:
    site.write(IMAGES)
    site.run("build")
    lock, aside = site.project.root / "imgbuild.lock", tmp_path / "aside.lock"
    lock.rename(aside)
    kept = aside.read_bytes()
    match how:
        case "a folder":
            lock.mkdir()
        case "a link to itself":
            lock.symlink_to(lock)
        case "a link to nothing":
            lock.symlink_to(tmp_path / "nowhere")
        case _:
            lock.symlink_to(aside)
    mode = lock.lstat().st_mode
    site.change("icon", prompt="another picture of icon")
    for words in share(COMMANDS, list(STRANGE).index(how), 5):
        count(1)
        is_refused(site, words)
        assert lock.lstat().st_mode == mode
    assert aside.read_bytes() == kept
    assert not (tmp_path / "nowhere").exists()
    assert site.paid() == 3


def test_a_lock_that_breaks_while_a_build_runs_is_not_overwritten_and_the_results_are_kept(
    site: Site, start_emulator: Callable, count: Any
) -> None:
    slow = Site(site.project, start_emulator(latency=0.5), site.zygote)
    slow.write({"hero": {}})
    child = site.zygote.start(site.project, "build")
    while not slow.paid():
        assert child.running
    lock = site.project.root / "imgbuild.lock"
    lock.write_bytes(b"<<<<<<< HEAD\n")
    count(1)
    run = child.wait()
    assert "Traceback" not in run.err
    assert run.code == 2
    assert "imgbuild.lock" in run.err
    assert lock.read_bytes() == b"<<<<<<< HEAD\n"
    lock.unlink()
    assert slow.run("build").summary["submitted"] == 0
    assert slow.paid() == 1
    check_invariants(site.project, slow.emulator.ledger())


# The journal.


def half_paid(site: Site) -> Path:
    """Hero's submission was charged and not answered: its journal, with two lines. Icon is yet to be built."""
    site.write({"hero": {"prompt": f"a picture of hero {FAULT}"}, "icon": {}})
    assert list(failures(site.run("build", "hero", code=1))) == ["hero"]
    assert site.paid() == 1
    [path] = site.journals()
    return path


def lines_of(path: Path) -> list[bytes]:
    """A journal's lines, each with its end."""
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.timeout(1800)
def test_a_journal_that_is_torn_at_any_byte_of_its_last_line_says_what_it_said_before(
    site: Site, sample: Callable, count: Any
) -> None:
    path = half_paid(site)
    lines = lines_of(path)
    assert len(lines) == 2
    for cut in sample(range(len(lines[0]) + 1, len(lines[0]) + len(lines[1])), 12):
        path.write_bytes(b"".join(lines)[:cut])
        count(1)
        plan = site.run("plan", "hero")
        assert (plan.summary["submitted"], plan.summary["cost"]) == (0, 0)
        run = site.run("build", "hero", code=1)
        assert "may have been charged" in failures(run)["hero"]
        assert path.name in warnings(run)
    assert site.paid() == 1
    site.run("build", "hero", "--retry-ambiguous")
    assert site.paid() == 2
    assert site.journals() == []


@pytest.mark.timeout(1800)
def test_a_task_whose_id_was_torn_is_not_submitted_again_without_a_word(
    site: Site, start_emulator: Callable, sample: Callable, count: Any
) -> None:
    slow = Site(site.project, start_emulator(latency=1.0, jitter=0.0), site.zygote)
    slow.write({"hero": {}})
    child = site.zygote.start(site.project, "build")
    while not any(b'"submitted"' in path.read_bytes() for path in slow.journals()):
        assert child.running
    child.kill()
    child.wait()
    [path] = slow.journals()
    lines = lines_of(path)
    first = len(b"".join(lines[:-1]))
    for cut in sample(range(first + 1, first + len(lines[-1])), 8):
        path.write_bytes(b"".join(lines)[:cut])
        count(1)
        run = slow.run("build", code=1)
        assert "may have been charged" in failures(run)["hero"]
        assert path.name in warnings(run)
        assert slow.paid() == 1
    path.write_bytes(b"".join(lines))
    assert slow.run("build").summary["resumed"] == 1
    assert slow.paid() == 1
    check_invariants(site.project, slow.emulator.ledger())


@pytest.mark.timeout(1800)
def test_an_intent_that_was_torn_was_never_sent(site: Site, sample: Callable, count: Any) -> None:
    path = half_paid(site)
    first = lines_of(path)[0]
    cuts = sample(range(1, len(first)), 8)
    images = {f"i{cut}": {} for cut in cuts}
    site.write(images)
    for cut, id in zip(cuts, images, strict=True):
        [shown] = [event["value"] for event in site.run("show", id).events if event["event"] == "data"]
        (path.parent / f"{shown['key']}.jsonl").write_bytes(first[:cut])
        count(1)
    run = site.run("build")
    assert run.counts() == {"generated": len(images), "submitted": len(images)}
    assert len(warnings(run).splitlines()) >= len(images)
    assert site.paid() == 1 + len(images)
    assert site.journals() == [path]


@pytest.mark.parametrize("tail", [b"\0", bytes(4096), b'{"version": 1, "ev' + bytes(100), b"\0" * 7 + b"{"])
def test_what_a_power_cut_leaves_at_the_end_is_dropped_and_cut_off_by_the_next_line(
    site: Site, count: Any, tail: bytes
) -> None:
    path = half_paid(site)
    site.change("hero", prompt="a picture of hero [fault:drop-after-accept:2]")
    run = site.run("build", "hero", code=1)
    [path] = [other for other in site.journals() if other != path]
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    count(1)
    run = site.run("build", "hero", code=1)
    assert "may have been charged" in failures(run)["hero"]
    assert path.name in warnings(run)
    assert site.paid() == 2
    assert list(failures(site.run("build", "hero", "--retry-ambiguous", code=1))) == ["hero"]
    assert site.paid() == 3
    data = path.read_bytes()
    assert data.startswith(whole)
    assert len(lines_of(path)) > len(whole.splitlines())
    for line in lines_of(path):
        assert json.loads(line)["version"] == 1
    run = site.run("build", "hero", code=1)
    assert path.name not in warnings(run)
    site.run("build", "hero", "--retry-ambiguous")
    assert site.paid() == 4


def _future(line: bytes) -> bytes:
    return json.dumps({**json.loads(line), "version": 2}).encode() + b"\n"


JOURNALS: dict[str, Callable[[list[bytes]], bytes]] = {
    "half a line in the middle": lambda lines: lines[0][:40] + b"\n" + lines[1],
    "half a line joined to the next": lambda lines: lines[0][:40] + lines[1],
    "NULs between the lines": lambda lines: lines[0] + bytes(64) + lines[1],
    "NULs in a line": lambda lines: lines[0][:20] + bytes(20) + lines[0][40:] + lines[1],
    "nothing but NULs before the last line": lambda lines: bytes(len(lines[0]) - 1) + b"\n" + lines[1],
    "conflict markers": lambda lines: (
        b"<<<<<<< HEAD\n" + lines[0] + b"=======\n" + lines[1] + b">>>>>>> other\n"
    ),
    "a future version": lambda lines: lines[0] + _future(lines[1]),
    "a future version first": lambda lines: _future(lines[0]) + lines[1],
    "no version": lambda lines: lines[0].replace(b'"version": 1, ', b"") + lines[1],
    "an event that nobody knows": lambda lines: lines[0] + lines[1].replace(b"unknown", b"refunded", 1),
    "a list": lambda lines: lines[0] + b"[]\n",
    "words": lambda lines: lines[0] + b"charged twice, please check\n",
    "bytes that are no UTF-8": lambda lines: lines[0] + lines[1].replace(b"reason", b"r\xe9ason"),
    "an intent without a key": lambda lines: lines[0].replace(b'"key"', b'"kee"') + lines[1],
    "a tower of brackets": lambda lines: lines[0] + b"[" * 100_000 + b"\n",
}


REFUSED = (["build"], ["build", "--retry-ambiguous"], ["reroll", "hero"])
LOOKS = (["plan"], ["jobs"], ["explain", "hero"], ["show", "hero"], ["list", "--status"])


@pytest.mark.parametrize("some", batches(JOURNALS, 5))
def test_a_journal_that_is_damaged_otherwise_is_refused_and_only_its_image_is_left_out(
    site: Site, count: Any, some: list[tuple[int, str]]
) -> None:
    path = half_paid(site)
    good = lines_of(path)
    for number, how in some:
        bad = JOURNALS[how](good)
        path.write_bytes(bad)
        for words in share(REFUSED, number, 2):
            count(1)
            run = site.run(*words, code=1)
            assert list(failures(run)) == ["hero"], how
            message = failures(run)["hero"]
            assert str(path) in message, how
            assert "move the file away" in message, how
            assert path.read_bytes() == bad, how
        site.run("build", "icon")
        assert not site.output().exists(), how
        for words in share(LOOKS, number, 2):
            told = site.zygote.run(site.project, *words)
            assert told.code in (0, 1), how
            assert path.read_bytes() == bad, how
        assert path.name in site.zygote.run(site.project, "jobs").err, how
    assert site.paid() == 2
    path.unlink()
    site.run("build")
    assert site.paid() == 3


@pytest.mark.parametrize("how", ["a folder", "a link to itself", "a file in place of the journal's folder"])
def test_a_journal_that_is_no_file_is_named_and_nothing_is_sent(site: Site, count: Any, how: str) -> None:
    path = half_paid(site)
    path.unlink()
    match how:
        case "a folder":
            path.mkdir()
        case "a link to itself":
            path.symlink_to(path)
        case _:
            for rest in path.parent.iterdir():
                rest.unlink()
            path.parent.rmdir()
            path.parent.write_text("not a folder")
    count(1)
    run = site.zygote.run(site.project, "build", "hero", "--output-format", "json")
    assert run.code == 1
    assert str(path.parent) in run.out
    assert site.paid() == 1
