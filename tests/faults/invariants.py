"""What holds after any fault, read from the disk itself: an oracle that shares no code with imgbuild.

I1 each blob hashes to its name. I2 a record never names an absent blob. I3 a picture is charged at most once,
or once more for each time that it was reported as unknown and submitted again on purpose. I4 an output is
absent, old-complete or new-complete. I5 the lock parses, is sorted, and follows from the records. I7 nothing
outside the project and the cache changed. I8 a key stands in no file and no output. (I6, that running again
converges without a charge, is for the tests to do.)
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project_folder import ProjectFolder, Run

CANARY = b"sk-canary-7f3a"
"""The key that every project of these tests has in its environment."""
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".avif"}

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Snapshot:
    """Folders as they were: every entry's kind, permissions and content."""

    folders: tuple[Path, ...]
    entries: Mapping[str, tuple[int, str]]

    @classmethod
    def of(cls, *folders: Path) -> Snapshot:
        entries = {}
        for folder in folders:
            for path in (folder, *sorted(folder.rglob("*"))):
                content = ""
                if path.is_symlink():
                    content = str(path.readlink())
                elif path.is_file():
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                entries[str(path)] = (path.lstat().st_mode, content)
        return cls(folders, entries)

    def changes(self) -> list[str]:
        """What is different by now."""
        now = Snapshot.of(*self.folders).entries
        return sorted(name for name, _ in set(now.items()) ^ set(self.entries.items()))


@dataclass
class OpenJob:
    """A submission that the journal has no end of."""

    id: str
    image_id: str
    project: str
    takes: list[int]
    key: str
    spec: Mapping[str, Any]
    stage: str = "unknown"
    task: str | None = None


@dataclass
class History:
    """All that imgbuild ever knew on a cache: what was forgotten on purpose was its own all the same."""

    digests: set[str] = field(default_factory=set)
    results: defaultdict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    """The digests that a take has had."""

    def learn(self, content: CacheContent) -> None:
        self.digests |= content.digests
        for name, result in content.results.items():
            self.results[name].add(result["digest"])


@dataclass
class CacheContent:
    """What lies in a cache. Results, outputs and pins are the documents of records and sidecars."""

    blobs: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    """Blobs whose bytes are not what their names say."""
    quarantined: set[str] = field(default_factory=set)
    recorded: list[dict[str, Any]] = field(default_factory=list)
    beside: list[dict[str, Any]] = field(default_factory=list)
    """What the sidecars say, whether or not their blob is there."""
    made: set[str] = field(default_factory=set)
    """Digests that records know as imgbuild's own."""
    jobs: dict[str, OpenJob] = field(default_factory=dict)
    """What the journal says is open."""

    @property
    def results(self) -> dict[tuple[str, int], dict[str, Any]]:
        """By key and take, as recorded; where no record is, as a sidecar tells it."""
        return {(one["key"], one["take"]): one for one in (*self.beside, *self.recorded) if "take" in one}

    @property
    def digests(self) -> set[str]:
        """Everything that imgbuild ever knew as its own bytes here."""
        return {one["digest"] for one in (*self.recorded, *self.beside)} | self.made


def check_invariants(
    project: ProjectFolder,
    ledger: Mapping[str, Any] | None,
    *,
    outside: Snapshot | None = None,
    unknown: Collection[str] = (),
    runs: Iterable[Run] = (),
    takes: Mapping[str, int] | None = None,
    damaged: Collection[str] = (),
    retouched: Collection[str] = (),
    foreign: bool = False,
    history: History | None = None,
) -> CacheContent:
    """Check everything but I6 on a project that nothing runs in; returns what lies in the cache.

    `ledger` is the service's (None: not looked at). `unknown` has a prompt for each charge more that was
    reported as unknown and then submitted again, or that failed after it was charged; `takes` how many
    takes a prompt may have been charged for, where that is not 1. `damaged` are digests of blobs that the
    test itself damaged or removed, `retouched` the outputs (relative paths) that it wrote. `foreign`: the
    lock, or its outputs, came from elsewhere or the cache was thrown away, so records may lack entries.
    `history` learns what the cache knows now, and its earlier knowledge counts as well.

    Raises AssertionError, which names the invariant.
    """
    cache = Path(project.environ["IMGBUILD_CACHE_DIR"])
    content = read_cache(cache)
    broken = content.broken - set(damaged)
    assert not broken, f"I1: blobs do not hash to their names: {sorted(broken)}"
    _records_name_blobs(content, damaged)
    if ledger is not None:
        check_charges(ledger, unknown, takes or {})
    locks = read_locks(project.root)
    known = history or History()
    known.learn(content)
    _outputs_are_whole(project.root, known, locks, retouched, foreign=foreign)
    _locks_follow_from_records(locks, known, foreign=foreign)
    strangers = [path for path in Path(project.environ["HOME"]).rglob("*") if not path.is_dir()]
    assert not strangers, f"I7: files appeared in the home: {strangers}"
    if outside is not None:
        assert not outside.changes(), f"I7: changed outside of the project: {outside.changes()}"
    for run in runs:
        for name, text in (("output", run.out), ("error output", run.err)):
            assert CANARY.decode() not in text, f"I8: the key stands in the {name}: {text}"
    for path in _files(project.root.parent):
        assert CANARY not in path.read_bytes(), f"I8: the key stands in {path}"
    return content


def check_charges(ledger: Mapping[str, Any], unknown: Collection[str], takes: Mapping[str, int]) -> None:
    """I3 alone: the pictures on the bill, each of the same prompt, model, size, quality and references."""
    bought: Counter[tuple[str, ...]] = Counter()
    for charge in ledger["charges"]:
        picture = (str(charge[name]) for name in ("prompt", "model", "size", "quality", "references"))
        bought[tuple(picture)] += charge["n"]
    again = Counter(unknown)
    for (prompt, *fields), n in bought.items():
        most = takes.get(prompt, 1) + again[prompt]
        assert n <= most, f"I3: {n} takes of {prompt!r} ({', '.join(fields)}) were charged, not {most}"


def read_cache(root: Path) -> CacheContent:
    """Read a cache folder; a database that cannot be read has no records."""
    content = CacheContent()
    for path in _files(root / "blobs"):
        digest, _, tail = path.name.partition(".")
        if not _DIGEST.fullmatch(digest) or path.parent.name != digest[:2]:
            continue
        if not tail:
            content.blobs.add(digest)
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                content.broken.add(digest)
        elif tail.endswith("json"):
            document = _json(path.read_bytes())
            about = document.get(document.get("kind")) if isinstance(document, dict) else None
            if isinstance(about, dict) and "digest" in about:
                content.beside.append(about)
    for path in _files(root / "quarantine"):
        content.quarantined.add(path.name.partition(".")[0])
    for name, text in read_rows(root / "records"):
        kind, _, rest = name.partition("/")
        document = _json(text)
        if kind in ("result", "output") and isinstance(document, dict):
            content.recorded.extend(document.values())
        elif kind == "pin" and isinstance(document, dict):
            content.recorded.append(document)
        elif kind == "made":
            content.made.add(rest)
    for path in _files(root / "jobs"):
        if path.suffix == ".jsonl":
            content.jobs |= _read_journal(path)
    return content


def _read_journal(path: Path) -> dict[str, OpenJob]:
    """The open jobs of a key's journal, as far as it can be read."""
    jobs: dict[str, OpenJob] = {}
    for line in path.read_bytes().split(b"\n")[:-1]:
        match _json(line):
            case {"event": "intent", "job": str(name), "draft": {"spec": spec}} as event:
                about = (event["image"], event["project"], event["takes"], event["key"], spec)
                jobs[name] = OpenJob(name, *about)
            case {"event": "closed", "job": name}:
                jobs.pop(name, None)
            case {"event": stage, "job": name} as event if name in jobs:
                jobs[name].stage = stage
                jobs[name].task = event.get("task", jobs[name].task)
    return jobs


def read_rows(folder: Path) -> list[tuple[str, str]]:
    """The rows of a records database, from a copy: looking must not repair what a kill left behind."""
    if not (folder / "cache.db").is_file():
        return []
    with tempfile.TemporaryDirectory() as copy:
        for path in folder.glob("cache.db*"):
            # The shared-memory index is made anew from the log.
            if not path.name.endswith("-shm"):
                shutil.copyfile(path, Path(copy) / path.name)
        connection = sqlite3.connect(Path(copy) / "cache.db")
        try:
            rows = connection.execute("SELECT key, value FROM Cache WHERE raw = 1").fetchall()
        except sqlite3.DatabaseError:
            return []
        finally:
            connection.close()
    return [(key, value) for key, value in rows if isinstance(key, str) and isinstance(value, str)]


def read_locks(root: Path) -> dict[str, dict[str, Any]]:
    """Each lock's images. I5, the first half: it parses, and is written as it has to be."""
    locks = {}
    for path in sorted(root.glob("imgbuild*.lock")):
        text = path.read_text(encoding="utf-8")
        try:
            document = json.loads(text)
        except ValueError as error:
            raise AssertionError(f"I5: {path.name} does not parse: {error}") from None
        canonical = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        assert text == canonical, f"I5: {path.name} is not sorted, or not in its only form"
        assert set(document) == {"images", "version"}, f"I5: {path.name} has {sorted(document)}"
        locks[path.name] = document["images"]
    return locks


def _records_name_blobs(content: CacheContent, damaged: Collection[str]) -> None:
    for one in content.recorded:
        known = content.blobs | content.quarantined | set(damaged)
        assert one["digest"] in known, f"I2: a record names a blob that is absent: {one}"


def _outputs_are_whole(
    root: Path,
    history: History,
    locks: Mapping[str, Mapping[str, Any]],
    retouched: Collection[str],
    *,
    foreign: bool,
) -> None:
    """I4: every picture below `out/`, and every file that a lock names."""
    locked = {
        path: output["digest"]
        for images in locks.values()
        for image in images.values()
        for path, output in image["outputs"].items()
    }
    names = {str(path.relative_to(root)) for path in _files(root / "out") if path.suffix in PICTURES}
    for name in sorted((names | set(locked)) - set(retouched)):
        path = root / name
        if not path.exists():
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        known = history.digests | (set(locked.values()) if foreign else set())
        assert digest in known, f"I4: {name} ({len(data)} bytes) is nothing that imgbuild knows to have made"
        assert _decodes(data), f"I4: {name} does not decode"


def _locks_follow_from_records(
    locks: Mapping[str, Mapping[str, Any]], history: History, *, foreign: bool
) -> None:
    """I5, the second half: key, take and digest of each entry are those of a result."""
    for name, images in locks.items():
        for id, image in images.items():
            recorded = history.results.get((image["key"], image["take"]))
            locked = image["source"]["digest"]
            assert recorded or foreign, f"I5: {name} has {id} of key {image['key']}, which no record knows"
            same = locked in (recorded or ())
            assert same or foreign, f"I5: {name} has {id} as {locked}, its record says {recorded}"


def _decodes(data: bytes) -> bool:
    import pyvips

    try:
        pyvips.Image.new_from_buffer(data, "", fail_on="truncated").avg()
    except pyvips.Error:
        return False
    return True


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path
