"""diskcache, narrowed: text keys, text values inside the database, no pickle and no value files, ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import diskcache

LOCK_SECONDS = 4.0
"""How long a locked database is waited for; the message must be out within 5 seconds."""

FILE_NAME: str = diskcache.core.DBNAME
"""The database's name in its folder."""

_SETTINGS = {
    **diskcache.DEFAULT_SETTINGS,
    "cull_limit": 0,
    "eviction_policy": "none",
    "size_limit": 1 << 62,
    "statistics": 0,
    "disk_min_file_size": 1 << 40,
    # A database that is cut short while it is mapped would end the process with SIGBUS.
    "sqlite_mmap_size": 0,
}
_KNOWN_SETTINGS = _SETTINGS.keys() | diskcache.core.METADATA.keys()


class TextDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Keeps text as it is. Rows of any other kind read as None; no file is ever read or deleted.

    diskcache's own Disk unpickles keys and values, which runs code (CVE-2025-69872), and follows a row's
    file name out of the folder.
    """

    def put(self, key: object) -> tuple[str, bool]:
        """Key to column. Raises TypeError for anything but text."""
        if type(key) is not str:
            raise TypeError(f"a record's key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str | None:
        """Column to key; None for a key that was not stored by `put`."""
        return key if isinstance(key, str) and raw == 1 else None

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, str]:
        """Value to columns. Raises TypeError for anything but text."""
        if type(value) is not str or read:
            raise TypeError(f"a record's value is text, not {type(value).__name__}")
        return 0, diskcache.core.MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> str | None:
        """Columns to value; None for a value that was not stored by `store`."""
        if mode == diskcache.core.MODE_RAW and filename is None and isinstance(value, str):
            return value
        return None

    def filename(self, key: object = None, value: object = None) -> tuple[str, str]:
        """There are no value files. Raises TypeError."""
        raise TypeError("records have no value files")

    def remove(self, file_path: object) -> None:
        """There are no value files, so a row that names one is not obeyed."""


def connect(folder: Path) -> Any:
    """Open or create the database in a folder that exists. Raises sqlite3.Error or OSError.

    diskcache re-writes its settings at every opening, which is cheap only unsynced: `make_durable`
    switches syncing on for the writes that follow.
    """
    try:
        return diskcache.Cache(str(folder), timeout=LOCK_SECONDS, disk=TextDisk, **_SETTINGS)
    except (TypeError, ValueError) as error:
        # Its settings table has more, or other, rows than any diskcache ever wrote.
        raise sqlite3.DatabaseError("malformed settings") from error


def read_below(database: Any, prefix: str) -> dict[str, str]:
    """The rows whose keys begin with `prefix`, by key, in one question: diskcache has one for each row.

    What `TextDisk` would not read is left out. Raises sqlite3.Error.
    """
    disk = database.disk
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    with closing(sqlite3.connect(Path(database.directory) / FILE_NAME, timeout=LOCK_SECONDS)) as connection:
        rows = connection.execute(
            "SELECT key, raw, mode, filename, value FROM Cache WHERE key >= ? AND key < ? ORDER BY key",
            (prefix, after),
        )
        read = ((disk.get(key, raw), disk.fetch(*columns, False)) for key, raw, *columns in rows)
        return {key: value for key, value in read if key is not None and value is not None}


class View:
    """The rows as they were at one moment, one at a time and without diskcache's own work for each."""

    def __init__(self, connection: sqlite3.Connection, disk: TextDisk) -> None:
        self._cursor = connection.cursor()
        self._disk = disk
        self._missed = 0
        self._names: frozenset[str] | None = None
        """All rows' names, once enough was asked for in vain; None also where there are too many."""

    def get(self, name: str) -> str | None:
        """A row's value; None where there is none that `TextDisk` would read. Raises sqlite3.Error."""
        if self._names is not None and name not in self._names:
            return None
        for mode, filename, value in self._cursor.execute(_SELECT, (name,)):
            return self._disk.fetch(mode, filename, value, False)
        self._missed += 1
        if self._missed == _MANY_MISSES:
            # A project that is new to this cache asks for several rows an image, and finds none.
            names = self._cursor.execute(_NAMES, (_MOST_NAMES + 1,)).fetchall()
            self._names = frozenset(name for (name,) in names) if len(names) <= _MOST_NAMES else None
        return None


_MANY_MISSES, _MOST_NAMES = 100, 50_000
"""After how many rows that are not there all names are read, and how many may be kept (10 MB)."""
_NAMES = "SELECT key FROM Cache WHERE raw = 1 LIMIT ?"
_SELECT = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"


@contextmanager
def open_view(database: Any) -> Iterator[View]:
    """A view, as of the first row that it is asked for. Raises sqlite3.Error."""
    path = Path(database.directory) / FILE_NAME
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
        # One transaction for all questions: each of its own would lock the file and unlock it.
        connection.execute("BEGIN")
        yield View(connection, database.disk)


def make_durable(database: Any) -> None:
    """Let every commit of this thread's connection be synced to the disk (SQLite's FULL)."""
    database.reset("sqlite_synchronous", 2, update=False)


def find_damage(folder: Path) -> str | None:
    """Why the database in `folder` cannot be used; None when it can, or is not there yet.

    Looked at before diskcache sees it, which takes unknown settings for attributes of its own and waits a
    minute for a lock. Raises sqlite3.Error for what is no damage: a lock, a full or read-only disk.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if "Settings" in tables:
            names = {name for (name,) in connection.execute("SELECT key FROM Settings")}
            unknown = names - _KNOWN_SETTINGS
            if unknown:
                return f"unknown settings: {sorted(map(str, unknown))!a}"
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return str(error)
    finally:
        connection.close()
    return None


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file's content is bad, not that it is busy or cannot be written."""
    if isinstance(error, sqlite3.OperationalError):
        return any(sign in str(error) for sign in ("no such", "no column", "decode", "malformed"))
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError)
