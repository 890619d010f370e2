"""A shared cache behind the Bazel HTTP cache protocol: `/ac/` and `/cas/` on bazel-remote or nginx."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from imgbuild.store.remote.action_result import decode_action_result, encode_action_result
from imgbuild.store.remote.base import MAX_RECORD, WrongBytesError, checked_name, unreachable

_ATTEMPTS = (0.0, 0.2, 0.8)
"""Seconds to wait before each try of a request."""
_BUSY = frozenset({429, 500, 502, 503, 504})
_STORED = frozenset({200, 201, 202, 204})
_CONNECTIONS = 64


class BazelRemote:
    """A shared cache on a server that keeps whatever it is given. It cannot create conditionally."""

    def __init__(self, address: str, auth: str | None, timeout: float) -> None:
        """`auth` is `user:password`, or a bearer token. `timeout`: seconds without an answer."""
        self._address = address.rstrip("/")
        self._auth = auth
        headers = {"Accept-Encoding": "identity", "User-Agent": "imgbuild"}
        if auth is not None:
            basic = base64.b64encode(auth.encode()).decode()
            headers["Authorization"] = f"Basic {basic}" if ":" in auth else f"Bearer {auth}"
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            trust_env=False,
            verify=not self._address.startswith("http://"),
        )

    def read_blob(self, digest: str, take: Callable[[bytes], None]) -> bool:
        """Hand a blob's bytes to `take` as they arrive."""
        return self._read(f"/cas/{digest}", take)

    def has_blob(self, digest: str) -> bool:
        """Whether there is such a blob."""
        with self._answer("HEAD", f"/cas/{digest}") as response:
            return response.status_code == 200

    def write_blob(self, digest: str, path: Path) -> bool:
        """Store a blob from a file. False: it is there already."""
        if self.has_blob(digest):
            return False
        with self._errors():
            size = str(path.stat().st_size)
        self._put(f"/cas/{digest}", lambda: _pieces(path), {"Content-Length": size})
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
        self._put(_entry(scope, name), lambda: message, {})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read(self, path: str, take: Callable[[bytes], None]) -> bool:
        with self._answer("GET", path) as response:
            if response.status_code != 200:
                return False
            for chunk in response.iter_raw(1 << 18):
                take(chunk)
        return True

    @contextmanager
    def _answer(self, method: str, path: str) -> Iterator[httpx.Response]:
        """An answer of status 200 or 404. What fails before it came is tried again."""
        with self._errors():
            for wait in _ATTEMPTS:
                time.sleep(wait)
                last = wait == _ATTEMPTS[-1]
                request = self._client.build_request(method, self._address + path)
                try:
                    response = self._client.send(request, stream=True)
                except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                    if last:
                        raise
                    continue
                if response.status_code in _BUSY and not last:
                    response.close()
                    continue
                try:
                    if response.status_code not in (200, 404):
                        raise httpx.HTTPError(f"{method} answered {response.status_code}")
                    yield response
                finally:
                    response.close()
                return

    def _put(
        self, path: str, content: Callable[[], bytes | Iterator[bytes]], headers: Mapping[str, str]
    ) -> None:
        with self._errors():
            for wait in _ATTEMPTS:
                time.sleep(wait)
                try:
                    response = self._client.put(self._address + path, content=content(), headers=headers)
                except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    if wait == _ATTEMPTS[-1]:
                        raise
                    continue
                if response.status_code in _STORED:
                    return
                if response.status_code not in _BUSY or wait == _ATTEMPTS[-1]:
                    raise httpx.HTTPError(f"PUT answered {response.status_code}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise unreachable(self._address, error, (self._auth,)) from None


def _entry(scope: str, name: str) -> str:
    """Records lie under the hash of their name: the protocol knows nothing but SHA-256."""
    return f"/ac/{hashlib.sha256(f'imgbuild/1/{scope}/{checked_name(name)}'.encode()).hexdigest()}"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 18):
            yield piece
