"""What a disk may hold after a power cut: the changes of a build as they were made, and every way to lose some.

Data of a file are safe once the file was synced, entries of a folder once the folder was. Until then each change
may be lost or kept by itself, in any order, and a write may be half done, or only have made its file longer.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interception import Call

CALLS = ("openat", "write", "pwrite64", "copy_file_range", "ftruncate")
CALLS += ("fsync", "fdatasync", "rename", "mkdir", "rmdir", "unlink", "sendto")
"""Every call that a recording has to see."""


@dataclass(frozen=True)
class Write:
    """Data, at a place in a file. Files are numbers here, because their names change."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Resize:
    """A file gets another length."""

    file: int
    size: int


@dataclass(frozen=True)
class Link:
    """An entry comes to name a file: a new one, or one that is renamed."""

    path: str
    file: int
    old: str | None = None


@dataclass(frozen=True)
class Unlink:
    """An entry goes: a file's, or an empty folder's."""

    path: str


@dataclass(frozen=True)
class Folder:
    """A folder is made."""

    path: str


@dataclass(frozen=True)
class Sync:
    """A file's data, or a folder's entries, are safe from here on."""

    what: int | str


@dataclass(frozen=True)
class Said:
    """What was written on standard output."""

    text: str


@dataclass(frozen=True)
class Sent:
    """What was sent to a service."""

    text: str


Change = Write | Resize | Link | Unlink | Folder
Entry = Change | Sync | Said | Sent


@dataclass
class Disk:
    """Folders and files, by path."""

    folders: set[str] = field(default_factory=set)
    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytearray] = field(default_factory=dict)

    @classmethod
    def of(cls, roots: Iterable[Path]) -> Disk:
        """What lies there now."""
        disk = cls()
        for root in roots:
            for path in (root, *root.rglob("*")):
                if path.is_dir():
                    disk.folders.add(str(path))
                elif _counts(str(path)):
                    disk.names[str(path)] = len(disk.names)
                    disk.contents[disk.names[str(path)]] = bytearray(path.read_bytes())
        return disk

    def copy(self) -> Disk:
        """A copy that can be changed by itself."""
        contents = {file: bytearray(data) for file, data in self.contents.items()}
        return Disk(set(self.folders), dict(self.names), contents)

    def apply(self, change: Change) -> None:
        """Change it."""
        match change:
            case Write(file, offset, data):
                content = self.contents.setdefault(file, bytearray())
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
            case Resize(file, size):
                content = self.contents.setdefault(file, bytearray())
                content.extend(bytes(max(0, size - len(content))))
                del content[size:]
            case Link(path, file, old):
                self.contents.setdefault(file, bytearray())
                self.names[path] = file
                if old is not None:
                    self.names.pop(old, None)
            case Unlink(path):
                self.names.pop(path, None)
                self.folders.discard(path)
            case Folder(path):
                self.folders.add(path)

    def is_used(self, folder: str) -> bool:
        """Whether something lies in a folder."""
        return any(str(Path(path).parent) == folder for path in (*self.names, *self.folders))

    def files(self) -> dict[str, bytes]:
        """Every file that can be reached."""
        return {
            path: bytes(self.contents[file]) for path, file in self.names.items() if self._is_reached(path)
        }

    def write(self, roots: Sequence[Path]) -> None:
        """Make the real disk the same; what is so already is not touched."""
        files = self.files()
        folders = sorted(folder for folder in self.folders if self._is_reached(folder))
        for root in roots:
            for path in sorted(root.rglob("*"), reverse=True):
                if path.is_dir():
                    if str(path) not in folders:
                        path.rmdir()
                elif str(path) not in files or path.read_bytes() != files[str(path)]:
                    path.unlink()
        for folder in folders:
            Path(folder).mkdir(exist_ok=True)
        for path, data in files.items():
            if not Path(path).exists():
                Path(path).write_bytes(data)

    def _is_reached(self, path: str) -> bool:
        """Whether all the folders above are there."""
        return all(str(parent) in self.folders for parent in self._parents(path))

    def _parents(self, path: str) -> Iterator[Path]:
        """The folders above, from the innermost, as far as this disk is about them."""
        shortest = min(map(len, self.folders))
        return (parent for parent in Path(path).parents if len(str(parent)) >= shortest)


class Recording:
    """The changes below some folders, in their order, as the calls of a held command tell them."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(roots)
        self.before = Disk.of(roots)
        self.log: list[Entry] = []
        self._now = self.before.copy()

    def note(self, call: Call) -> None:
        """Take down a call that is about to be made."""
        if call.name == "sendto":
            # Within the process, single bytes wake its loop.
            if call.arguments[2] > 1:
                self.log.append(Sent(call.memory(*call.arguments[1:3]).decode("latin-1")))
        elif call.name == "write" and call.arguments[0] == 1:
            self.log.append(Said(call.memory(*call.arguments[1:3]).decode()))
        elif any(_counts(path) and self._is_below(path) for path in call.paths):
            for change in self._changes(call):
                self.log.append(change)
                if not isinstance(change, Sync):
                    self._now.apply(change)

    def after(self) -> Disk:
        """The disk with all that was recorded."""
        return self._now

    def _is_below(self, path: str) -> bool:
        return any(Path(path).is_relative_to(root) for root in self.roots)

    def _changes(self, call: Call) -> Iterator[Change | Sync]:
        now, path = self._now, call.paths[-1]
        file = now.names.get(path)
        match call.name:
            case "openat" if file is None and call.arguments[2] & os.O_CREAT:
                yield Link(path, len(now.contents))
            case "openat" if file is not None and call.arguments[2] & os.O_TRUNC:
                yield Resize(file, 0)
            case "mkdir" if path not in now.folders:
                yield Folder(path)
            case "unlink" if file is not None:
                yield Unlink(path)
            case "unlink" | "rmdir" if path in now.folders and not now.is_used(path):
                yield Unlink(path)
            case "rename" if call.paths[0] in now.names:
                yield Link(path, now.names[call.paths[0]], call.paths[0])
            case "fsync" | "fdatasync" if path in now.folders:
                yield Sync(path)
        if file is None:
            return
        match call.name:
            case "fsync" | "fdatasync":
                yield Sync(file)
            case "ftruncate":
                yield Resize(file, call.arguments[1])
            case "pwrite64":
                yield Write(file, call.arguments[3], call.memory(*call.arguments[1:3]))
            case "write":
                yield Write(file, call.offset(0), call.memory(*call.arguments[1:3]))
            case "copy_file_range":
                data = Path(call.file(0)).read_bytes()[call.offset(0) :][: call.arguments[4]]
                yield Write(file, call.offset(2), data)


def _counts(path: str) -> bool:
    """SQLite makes this index anew from the log whenever the first process opens the database."""
    return not path.endswith("-shm")


def unsafe(log: Sequence[Entry], cut: int) -> list[int]:
    """Which of the changes before a cut may be lost."""
    found: list[int] = []
    for n, entry in enumerate(log[:cut]):
        if isinstance(entry, Sync):
            found = [m for m in found if _belongs_to(log[m]) != entry.what]
        elif not isinstance(entry, Said | Sent):
            found.append(n)
    return found


def _belongs_to(change: Entry) -> int | str:
    """The file or folder that has to be synced for a change to be safe."""
    match change:
        case Write(file) | Resize(file):
            return file
        case Link(path) | Unlink(path) | Folder(path):
            return str(Path(path).parent)
    raise TypeError(change)


def cuts(log: Sequence[Entry]) -> list[int]:
    """The moments that differ: what is said or sent at once belongs to what it follows."""
    return [n for n in range(1, len(log) + 1) if n == len(log) or not isinstance(log[n], Said | Sent)]


def states(recording: Recording, cut: int, most: int) -> Iterator[Disk]:
    """The disks that a power cut there may leave: every one, or a choice where they are more than `most`.

    The first has lost all that was not safe.
    """
    log = recording.log
    loose = unsafe(log, cut)
    firm = {n for n, entry in enumerate(log[:cut]) if not isinstance(entry, Sync | Said | Sent)} - set(loose)
    for kept in _subsets(loose, most):
        yield _replay(recording, firm | set(kept), {})
    chance = random.Random(cut)
    writes = [n for n in loose if isinstance(log[n], Write)]
    for n in chance.sample(writes, min(len(writes), most // 4 + 1)):
        for part in ("half", "length"):
            yield _replay(recording, firm | set(loose), {n: part})


def _subsets(loose: Sequence[int], most: int) -> Iterator[tuple[int, ...]]:
    if 2 ** len(loose) <= max(most, 2):
        for size in range(len(loose) + 1):
            yield from itertools.combinations(loose, size)
        return
    chance = random.Random(len(loose))
    yield ()
    yield tuple(loose)
    for n in chance.sample(loose, min(len(loose), most // 4 + 1)):
        yield (n,)
        yield tuple(m for m in loose if m != n)
    for _ in range(most // 2):
        yield tuple(n for n in loose if chance.random() < 0.5)


def _replay(recording: Recording, kept: set[int], torn: dict[int, str]) -> Disk:
    disk = recording.before.copy()
    for n in sorted(kept):
        change = recording.log[n]
        if isinstance(change, Write) and n in torn:
            half = change.data[: len(change.data) // 2]
            data = half if torn[n] == "half" else bytes(len(change.data))
            change = Write(change.file, change.offset, data)
        assert not isinstance(change, Sync | Said | Sent)
        disk.apply(change)
    return disk
