"""The index: what a build looked at, so that the next one need only look whether it is still so.

A file in `.imgbuild/` that can be thrown away, in the manner of git's: for every file and folder that decided
about a build its size, times, inode and the digest of its content. A status is believed only if it is older
than the moment when the content was looked at; else the content is looked at again (git calls such entries
racily clean). The change time, which no program can set, is part of it: a file that was edited and dated back
is noticed. An index that is torn, foreign or of another version is no index.

This module imports nothing but what the interpreter has at hand: its own start would be the longest part of
a build that has nothing to do.
"""

from __future__ import annotations

import os
import stat
import sys
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOLDER = ".imgbuild"
TICK = 20_000_000
"""Nanoseconds. The clock of a file system stands still for up to 10 ms between two ticks."""

Status = tuple[int, int, int, int]
"""Size in bytes, modification and change time in nanoseconds since the epoch, inode."""
Seen = tuple[Status, bytes]
"""A status, and the SHA-256 of the content."""

ABSENT: Status = (-1, 0, 0, 0)
"""There is nothing of this name."""
PLAIN_FOLDER: Status = (-2, 0, 0, 0)
"""A folder and no link to one, whatever is in it."""
NO_DIGEST = bytes(32)

_MAGIC = f"imgbuild index 1 {sys.byteorder}\n".encode()
_WORD = 8
_ENVIRONMENT = ("HOME", "XDG_CACHE_HOME", "IMGBUILD_CACHE_DIR")
"""What decides where the cache is."""


class Index:
    """What was seen, by path relative to the project, and what the build that saw it can say again."""

    def __init__(self, facts: Sequence[str], text: str, json: str, seen: Mapping[str, Seen]) -> None:
        self.facts = facts
        """The tool's version and how it was called: all of it has to be the same again."""
        self.text = text
        self.json = json
        self.paths: Sequence[str] = list(seen)
        self._statuses: Sequence[Sequence[int]] = list(zip(*(s for s, _ in seen.values()), strict=True))
        self._digests = b"".join(digest for _, digest in seen.values())

    @classmethod
    def unpack(cls, data: bytes) -> Index | None:
        """Read what `pack` made; None for what is torn or another version's."""
        head = len(_MAGIC) + 4
        if data[:head] != _MAGIC + crc32(data[head:]).to_bytes(4, sys.byteorder):
            return None
        texts_end, paths_end, count = memoryview(data)[head : head + 3 * _WORD].cast("Q")
        start = head + 3 * _WORD
        texts = data[start:texts_end].decode("utf-8", "surrogateescape").split("\0")
        numbers = memoryview(data)[paths_end : paths_end + 4 * _WORD * count].cast("q")
        index = cls.__new__(cls)
        index.text, index.json, *index.facts = texts
        index.paths = os.fsdecode(data[texts_end:paths_end]).split("\0") if count else []
        index._statuses = [numbers[column * count : (column + 1) * count] for column in range(4)]
        index._digests = data[paths_end + 4 * _WORD * count :]
        return index

    def pack(self) -> bytes:
        """The index as bytes."""
        texts = "\0".join((self.text, self.json, *self.facts)).encode("utf-8", "surrogateescape")
        paths = os.fsencode("\0".join(self.paths))
        texts_end = len(_MAGIC) + 4 + 3 * _WORD + len(texts)
        sizes = (texts_end, texts_end + len(paths), len(self.paths))
        head = b"".join(size.to_bytes(_WORD, sys.byteorder) for size in sizes)
        numbers = b"".join(
            number.to_bytes(_WORD, sys.byteorder, signed=True)
            for column in self._statuses
            for number in column
        )
        body = head + texts + paths + numbers + self._digests
        return _MAGIC + crc32(body).to_bytes(4, sys.byteorder) + body

    def suspects(self) -> list[int]:
        """The entries whose status is not what it was, or cannot be believed."""
        found = []
        look = os.lstat
        for at, (path, size, modified, changed, inode) in enumerate(
            zip(self.paths, *self._statuses, strict=True)
        ):
            try:
                now = look(path)
            except (FileNotFoundError, NotADirectoryError):
                if size != -1:
                    found.append(at)
                continue
            if (
                now.st_ctime_ns != changed
                or now.st_mtime_ns != modified
                or now.st_ino != inode
                or now.st_size != size
            ) and not (size == -2 and stat.S_ISDIR(now.st_mode)):
                found.append(at)
        return found

    def digest(self, at: int) -> bytes:
        """The digest of an entry."""
        return self._digests[at * 32 : (at + 1) * 32]

    def seen(self) -> dict[str, Seen]:
        """Everything, by path."""
        statuses: Iterable[Status] = zip(*self._statuses, strict=True)
        return {
            path: (status, self.digest(at))
            for at, (path, status) in enumerate(zip(self.paths, statuses, strict=True))
        }


def index_path(manifest: str, profile: str | None) -> str:
    """Where the index of a manifest and a profile lies, relative to the project."""
    return f"{FOLDER}/index-{manifest}-{profile or ''}"


def facts_of(version: str, environ: Mapping[str, str], cache: str, *, locked: bool) -> list[str]:
    """What else has to be as it was: the tool, its environment and the cache.

    `version`: of imgbuild. `cache`: the folder; a cache that was cleared or replaced is another one. Raises
    OSError or ValueError where this user has no token yet.
    """
    return [
        version,
        "locked" if locked else "",
        cache,
        _read_token(token_path(environ)),
        *(_inode(f"{cache}/{part}") for part in ("blobs", "records/cache.db")),
        *(environ.get(name, "") for name in _ENVIRONMENT),
    ]


def believable(status: Status, looked_at: int) -> Status:
    """A status that a later look can be held against.

    `looked_at`: nanoseconds since the epoch, before the content was looked at. What has changed then or
    later could change once more within the same tick of the clock, so it matches nothing.
    """
    return status if status[2] < looked_at - TICK else (status[0], status[1], -1, status[3])


def status_of(path: str) -> Status:
    """A file's, folder's or link's own status; `ABSENT` for none. Raises OSError."""
    try:
        return status_in(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT


def status_in(now: os.stat_result) -> Status:
    """What counts of what the system tells of a file."""
    return now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino


def digest_of(path: str) -> bytes:
    """The SHA-256 of a file's content, of a folder's names, or of what a link names. Raises OSError."""
    # Imported here: hardly ever needed when nothing is to be done.
    import hashlib

    mode = os.lstat(path).st_mode
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    if stat.S_ISLNK(mode):
        return hashlib.sha256(os.fsencode(os.readlink(path))).digest()
    if not stat.S_ISDIR(mode):
        raise OSError(f"{path} is neither a file nor a folder")
    return hashlib.sha256(os.fsencode("\0".join(names_in(path)))).digest()


def names_in(folder: str) -> list[str]:
    """The names in a folder that patterns can find, sorted, those of folders with a slash. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(e.name + "/" * e.is_dir() for e in entries if not e.name.startswith("."))


def token_path(environ: Mapping[str, str]) -> str:
    """The file with what only this user knows: an index that came with somebody's checkout cannot name it."""
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    own = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '')}/{caches}"
    return f"{environ.get('IMGBUILD_CACHE_DIR') or f'{own}/imgbuild'}/index.id"


def _read_token(path: str) -> str:
    """Raises OSError, and ValueError for an empty file."""
    with open(path, "rb") as file:
        token = file.read(100)
    if not token:
        raise ValueError(f"{path} is empty")
    return token.hex()


def _inode(path: str) -> str:
    """Which file or folder it is, and which of the two."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{stat.S_IFMT(status.st_mode)} {status.st_ino}"
