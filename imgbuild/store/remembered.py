"""What a command remembers for the next one in `.imgbuild/`: believed only if this user wrote it, whole.

Losing such a file costs time and nothing else. One that is torn, of another version, or came with somebody's
checkout is no memory: its seal needs what only this user knows.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from imgbuild.core.errors import StorageError
from imgbuild.core.image import Json
from imgbuild.store.encoding import dump, load
from imgbuild.store.fsio import make_folder, write_atomic
from imgbuild.store.index import token_path
from imgbuild.store.workdir import FOLDER, Workdir


class Remembered:
    """One file of a project's `.imgbuild/`. `stamp`: what has to be the same when it is read again."""

    def __init__(self, project: Path, name: str, stamp: str, environ: Mapping[str, str]) -> None:
        self._workdir = Workdir(project)
        self._path = project / FOLDER / name
        self._stamp = stamp
        self._token = Path(token_path(environ))
        self._environ = environ

    def read(self) -> object:
        """What was kept; None where there is nothing that can be believed."""
        with suppress(OSError, ValueError):
            seal, _, body = self._path.read_bytes().partition(b"\n")
            if hmac.compare_digest(seal, self._seal(self._token.read_bytes(), body)):
                return load(body)
        return None

    def keep(self, value: Json) -> None:
        """Replace what was kept. Where it cannot be written, there is nothing from now on."""
        with suppress(StorageError, OSError, ValueError):
            ensure_token(self._environ)
            body = dump(value).encode()
            self._workdir.ensure()
            write_atomic(self._path, self._seal(self._token.read_bytes(), body) + b"\n" + body, sync=False)

    def _seal(self, token: bytes, body: bytes) -> bytes:
        if not token:
            raise ValueError("a token that anybody could guess")
        stamp = self._stamp.encode("utf-8", "surrogateescape")
        return hmac.digest(token, stamp + b"\0" + body, "sha256").hex().encode()


def ensure_token(environ: Mapping[str, str]) -> None:
    """Have this user's token, made at random when it is first needed. Raises StorageError, OSError."""
    token = Path(token_path(environ))
    if not token.exists():
        make_folder(token.parent, 0o700)
        write_atomic(token, secrets.token_hex(16).encode(), sync=False)
