"""A shared cache behind the Bazel HTTP cache protocol: `/ac/` and `/cas/` on bazel-remote or nginx."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path

from imgbuild.store.fsio import storage_errors
from imgbuild.store.remote.action_result import decode_action_result, encode_action_result
from imgbuild.store.remote.base import MAX_RECORD, WrongBytesError, checked_name, unreachable
from imgbuild.store.remote.connections import Connections

_ATTEMPTS = (0.0, 0.2, 0.8)
"""Seconds to wait before each try of a request."""
_BUSY = frozenset({429, 500, 502, 503, 504})
_READ = frozenset({200, 404})
_STORED = frozenset({200, 201, 202, 204})
_PIECE = 1 << 18


class BazelRemote:
    """A shared cache on a server that keeps whatever it is given. It cannot create conditionally."""

    def __init__(self, address: str, auth: str | None, timeout: float) -> None:
        """`auth` is `user:password`, or a bearer token. `timeout`: seconds without an answer."""
        self._address = address.rstrip("/")
        self._auth = auth
        self._headers = {"User-Agent": "imgbuild"}
        if auth is not None:
            basic = base64.b64encode(auth.encode()).decode()
            self._headers["Authorization"] = f"Basic {basic}" if ":" in auth else f"Bearer {auth}"
        with self._errors():
            self._connections = Connections(self._address, timeout)

    def read_blob(self, digest: str, take: Callable[[bytes], None]) -> bool:
        """Hand a blob's bytes to `take` as they arrive."""
        return self._read(f"/cas/{digest}", take)

    def has_blob(self, digest: str) -> bool:
        """Whether there is such a blob."""
        with self._answer("HEAD", f"/cas/{digest}", _READ) as response:
            return response.status == 200

    def write_blob(self, digest: str, path: Path) -> bool:
        """Store a blob from a file. False: it is there already."""
        if self.has_blob(digest):
            return False
        with storage_errors("read", path):
            size = path.stat().st_size
        self._put(f"/cas/{digest}", lambda: _pieces(path), size)
        return True

    def read_record(self, scope: str, name: str) -> bytes | None:
        """A record; None if there is none."""
        data = bytearray()

        def take(chunk: bytes) -> None:
            data.extend(chunk)
            if len(data) > MAX_RECORD:
                raise WrongBytesError("the shared cache has a record that is too long")

        if not self._read(_entry(scope, name), take):
            return None
        text = decode_action_result(bytes(data))
        if text is None:
            raise WrongBytesError("the shared cache has an entry that is no ActionResult")
        return text

    def write_record(self, scope: str, name: str, data: bytes, blobs: Mapping[str, int]) -> None:
        """Store a record in place of an older one, as an ActionResult."""
        message = encode_action_result(data, blobs)
        self._put(_entry(scope, name), lambda: message, len(message))

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._connections.close()

    def _read(self, path: str, take: Callable[[bytes], None]) -> bool:
        with self._answer("GET", path, _READ) as response:
            if response.status != 200:
                return False
            while piece := response.read(_PIECE):
                take(piece)
            # The standard library takes a connection that breaks for the end.
            if response.length:
                raise IncompleteRead(b"", response.length)
        return True

    def _put(self, path: str, body: Callable[[], bytes | Iterator[bytes]], size: int) -> None:
        with self._answer("PUT", path, _STORED, body, size):
            pass

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        wanted: frozenset[int],
        body: Callable[[], bytes | Iterator[bytes] | None] = lambda: None,
        size: int | None = None,
    ) -> Iterator[HTTPResponse]:
        """An answer of a wanted status. What fails before it came is tried again; a timeout is not."""
        headers = self._headers if size is None else {**self._headers, "Content-Length": str(size)}
        with self._errors():
            for wait in _ATTEMPTS:
                if wait:
                    time.sleep(wait)
                last = wait == _ATTEMPTS[-1]
                with ExitStack() as stack:
                    try:
                        exchange = self._connections.exchange(method, path, body(), headers)
                        response = stack.enter_context(exchange)
                    except TimeoutError:
                        raise
                    except (HTTPException, OSError):
                        if last:
                            raise
                        continue
                    if response.status in _BUSY and not last:
                        continue
                    if response.status not in wanted:
                        raise HTTPException(f"{method} answered {response.status}")
                    yield response
                    return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (HTTPException, OSError, UnicodeError) as error:
            raise unreachable(self._address, error, (self._auth,)) from None


def _entry(scope: str, name: str) -> str:
    """Records lie under the hash of their name: the protocol knows nothing but SHA-256."""
    return f"/ac/{hashlib.sha256(f'imgbuild/1/{scope}/{checked_name(name)}'.encode()).hexdigest()}"


def _pieces(path: Path) -> Iterator[bytes]:
    with storage_errors("read", path), path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
