"""F11: whatever of the un-synced changes a power cut loses, nothing is half there and nothing is paid for twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from interception import KILL, Call, Verdict
from invariants import CacheContent, Snapshot, check_invariants
from power import CALLS, Disk, Entry, Folder, Link, Recording, Said, Sent, cuts, states, unsafe
from project_folder import ProjectFolder
from workload import JSON, PROMPTS, Workload, unknown_of
from zygote import Zygote

DONE = ("generated", "derived", "restored")
EVERY = 16
"""Of the power cuts after a kill, a full run tries one of so many, and other ones after each kill."""
EMPTY = b'{"images": {}}'


@pytest.fixture(params=["nothing was there", "everything has changed"])
def work(
    request: pytest.FixtureRequest, project: ProjectFolder, emulator, zygote: Zygote, outside: Snapshot
) -> Workload:
    work = Workload(project, emulator, zygote, outside)
    if request.param == "everything has changed":
        assert zygote.run(project, "build", *JSON).code == 0
        work.write(" at night")
        work.keep()
    return work


@pytest.fixture
def recording(work: Workload) -> Recording:
    """A build that nothing happens to. The service goes on knowing its tasks."""
    work.begin()
    recording = Recording(work.roots)
    assert work.build(CALLS, recording.note).code == 0
    return recording


def test_the_recording_is_what_really_happened(work: Workload, recording: Recording):
    assert recording.after().files() == Disk.of(work.roots).files()


@pytest.mark.timeout(3600)
def test_what_a_power_cut_leaves_is_whole_and_has_all_that_was_reported(
    work: Workload, recording: Recording, full: bool, sample: Callable, count: Callable[[int], None]
):
    seen: set[int] = set()
    for cut in sample(cuts(recording.log), 18):
        count(_check(work, recording, cut, 24 if full else 6, seen))


@pytest.mark.timeout(3600)
def test_what_a_kill_left_unsafe_is_made_safe_by_the_next_build_before_it_counts(
    work: Workload, recording: Recording, full: bool, sample: Callable, count: Callable[[int], None]
):
    entries = sum(map(_is_lasting_entry, recording.log))
    for n in sample(range(1, entries + 1), 5):
        work.begin()
        both = Recording(work.roots)

        def decide(call: Call, both: Recording = both, n: int = n) -> Verdict:
            made = sum(map(_is_lasting_entry, both.log))
            if made == n and _is_lasting_entry(both.log[-1]):
                return KILL
            return both.note(call)

        if work.build(CALLS, decide).code != -9:
            continue
        killed = len(both.log)
        unknown_of(work.build(CALLS, both.note))
        seen: set[int] = set()
        after = [cut for cut in cuts(both.log) if cut > killed]
        # All of them would take hours: in full, those of one kill lie between those of the next.
        for cut in after[n % EVERY :: EVERY] if full else sample(after, 3):
            count(_check(work, both, cut, 2, seen))


@pytest.mark.timeout(3600)
def test_after_a_power_cut_a_build_goes_on_and_pays_for_nothing_again(
    work: Workload, recording: Recording, sample: Callable, count: Callable[[int], None]
):
    charges = work.bill["charges"]
    for n, cut in enumerate(sample(cuts(recording.log), 8)):
        # At every other moment all that was not safe is lost; in between, some of it.
        disks = [*states(recording, cut, 6)]
        number = n // 2 % len(disks) if n % 2 else 0
        disks[number].write(work.roots)
        sent = {work.prompt(id) for id in _sent(work, recording.log[:cut])}
        work.pretend([charge for charge in charges if charge["prompt"] in sent])
        with _noted(recording, cut, number):
            work.converge()
        count(1)


def _check(work: Workload, recording: Recording, cut: int, most: int, seen: set[int]) -> int:
    """Look at every disk that a power cut there may leave, but for those seen; returns how many these were."""
    last, log = recording.after().files(), recording.log[:cut]
    lock = str(work.project.root / "imgbuild.lock")
    keys = {id: image["key"] for id, image in json.loads(last.get(lock, EMPTY))["images"].items()}
    sent = {keys[id] for id in _sent(work, log) & set(keys)}
    must = {str(work.project.root / name) for name in _reported(log)}
    before = len(seen)
    for number, disk in enumerate(states(recording, cut, most)):
        files = disk.files()
        same = hash((frozenset(files.items()), *map(frozenset, (disk.folders, must, sent))))
        if same in seen:
            continue
        seen.add(same)
        disk.write(work.roots)
        with _noted(recording, cut, number):
            content = check_invariants(work.project, None, outside=work.outside)
            assert set(recording.before.files()) & {lock} <= set(files), "I5: the lock is gone"
            lost = {path for path in must if files.get(path) != last[path]}
            assert not lost, f"reported as done: {lost}"
            forgotten = sent - _known(work.roots[1], content)
            assert not forgotten, f"I3: nobody remembers that these keys were submitted: {forgotten}"
    return len(seen) - before


def _is_lasting_entry(entry: Entry) -> bool:
    """Whether it is a new name of something that has to be there after a power cut."""
    if not isinstance(entry, Link | Folder):
        return False
    return "/cache/tmp" not in entry.path and not entry.path.endswith((".tmp", ".lock"))


def _sent(work: Workload, log: Sequence[Entry]) -> set[str]:
    """The images for which a request was on its way, and so perhaps charged."""
    text = "".join(entry.text for entry in log if isinstance(entry, Sent))
    return {id for id in PROMPTS if work.prompt(id) in text}


def _reported(log: Sequence[Entry]) -> set[str]:
    """The files that standard output had said were done."""
    text = "".join(entry.text for entry in log if isinstance(entry, Said))
    events = [json.loads(line) for line in text.splitlines()]
    images = [event for event in events if event["event"] == "image" and event["status"] in DONE]
    whole = {"imgbuild.lock"} if events and events[-1]["event"] == "summary" else set()
    return whole.union(*(event["outputs"] for event in images))


def _known(cache: Path, content: CacheContent) -> set[str]:
    """The keys of which something is written down: a result, or that it was asked for."""
    intents = set()
    for path in cache.glob("jobs/*.jsonl"):
        lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1] if line.strip(b"\0")]
        intents |= {line["key"] for line in lines if line["event"] == "intent"}
    return intents | {key for key, _ in content.results}


@contextmanager
def _noted(recording: Recording, cut: int, number: int) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        loose = [str(recording.log[n])[:160] for n in unsafe(recording.log, cut)]
        note = [f"power cut {cut} of {len(recording.log)}, state {number}; before: {recording.log[cut - 1]}"]
        error.add_note("\n".join([*note, *loose])[:8000])
        raise
