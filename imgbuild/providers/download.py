"""The download client: results streamed to a file, without credentials, from vetted addresses only."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

import httpcore
import httpx

from imgbuild import __version__
from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.redact import clean
from imgbuild.core.retry import Breakdown, Phase, kind_of_breakdown, kind_of_status, longest_retry_after
from imgbuild.providers.addresses import Zone, is_disguised, resolve, zone
from imgbuild.providers.result_file import ResultFile

RESULT_LIMIT = 256 * 2**20
"""Bytes of one result."""
MAX_REDIRECTS = 3
CONNECT_TIMEOUT = 30.0
SILENCE_TIMEOUT = 60.0
"""Seconds without a byte after which a download is given up."""

_REDIRECTS = (301, 302, 303, 307, 308)


class VettedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections to allowed addresses only, and to the very address that was checked.

    A name is resolved once, here; so a name server cannot show one address to the check and another
    to the connection. TLS and the Host header keep the name. Where the provider itself (`home`) is
    on loopback or a private network, such addresses are allowed; link-local ones never are.
    """

    def __init__(self, home: str) -> None:
        self._home = httpx.URL(home)
        self._near_allowed: bool | None = None
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library names it so
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers. Raises ProviderFailure for a forbidden one."""
        if is_disguised(host):
            raise _unusable(f"the link hides its address: {clean(host)}")
        try:
            addresses = await resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from None
        for address in addresses:
            where = zone(address)
            if where is Zone.FORBIDDEN or (where is Zone.NEAR and not await self._may_be_near()):
                raise _unusable(f"the link leads to a private or reserved address: {address}")
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait, for the connection pool."""
        await self._inner.sleep(seconds)

    async def _may_be_near(self) -> bool:
        if self._near_allowed is None:
            try:
                addresses = await resolve(self._home.host, self._home.port or 443)
            except (OSError, UnicodeError):
                addresses = []
            self._near_allowed = any(zone(address) is Zone.NEAR for address in addresses)
        return self._near_allowed


class DownloadClient:
    """Fetches results. It has no credentials, cookies or proxies to give away."""

    def __init__(
        self, name: str, home: str, timeout: float, tls: ssl.SSLContext, *, limit: int = RESULT_LIMIT
    ) -> None:
        self._name = name
        self._limit = limit
        self._timeout = timeout
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=None,
            keepalive_expiry=4.0,
            network_backend=VettedNetwork(home),
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._pool.aclose()

    async def fetch(self, url: str, to: Path) -> None:
        """Stream what `url` gives into the file `to`, replacing it.

        Raises ProviderFailure; what had arrived by then stays in the file, as evidence. Raises
        StorageError where the disk refuses.
        """
        try:
            if url[:5].lower() == "data:":
                _write_data_url(url, to, self._limit)
                return
            async with asyncio.timeout(self._timeout):
                await self._fetch(_parsed(url), to)
        except ProviderFailure as failure:
            raise ProviderFailure(
                failure.kind, f"{self._name}: {failure.message}", retry_after=failure.retry_after
            ) from None
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            kind = kind_of_breakdown(_breakdown(error), Phase.DOWNLOAD)
            detail = clean(str(error)) or type(error).__name__
            raise ProviderFailure(kind, f"{self._name}: the result could not be fetched ({detail})") from None

    async def _fetch(self, url: httpx.URL, to: Path) -> None:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._open(url) as response:
                if response.status not in _REDIRECTS:
                    _check_head(response, self._limit)
                    await _write_stream(response, to, self._limit)
                    return
                location = _header(response, b"location")
            target = _parsed(location, url)
            if url.scheme == "https" and target.scheme != "https":
                raise _unusable("the link redirects from https to http")
            url = target
        raise _unusable(f"the link redirects more than {MAX_REDIRECTS} times")

    @asynccontextmanager
    async def _open(self, url: httpx.URL) -> AsyncIterator[httpcore.Response]:
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path or b"/"
        )
        headers: dict[bytes | str, bytes | str] = {
            "Host": url.netloc,
            "Accept": "image/*,*/*;q=0.5",
            # Compression makes no image smaller; it only lets a small body grow without bounds.
            "Accept-Encoding": "identity",
            "User-Agent": f"imgbuild/{__version__}",
        }
        timeouts = {
            "connect": min(self._timeout / 2, CONNECT_TIMEOUT),
            "read": min(self._timeout, SILENCE_TIMEOUT),
            "write": min(self._timeout, SILENCE_TIMEOUT),
            "pool": self._timeout,
        }
        async with self._pool.stream(
            "GET", target, headers=headers, extensions={"timeout": timeouts}
        ) as response:
            yield response


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        url = base.join(text) if base is not None and text else httpx.URL(text)
        usable = url.scheme in ("http", "https") and bool(url.host) and 0 < (url.port or 80) < 2**16
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise _unusable(f"the link is no http(s) address: {clean(text, limit=200) or 'empty'}")
    return url


def _check_head(response: httpcore.Response, limit: int) -> None:
    if response.status != 200:
        kind = kind_of_status(response.status, Phase.DOWNLOAD)
        raise ProviderFailure(
            kind,
            f"the link answered HTTP {response.status}",
            retry_after=longest_retry_after(_headers(response, b"retry-after"), time.time())
            if kind is FailureKind.RATE_LIMITED
            else None,
        )
    encoding = _header(response, b"content-encoding").strip().lower()
    if encoding not in ("", "identity"):
        raise _unusable(f"the result is compressed ({clean(encoding, limit=40)}), which images never are")
    announced = _header(response, b"content-length")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)


async def _write_stream(response: httpcore.Response, to: Path, limit: int) -> None:
    size = 0
    with ResultFile(to) as file:
        async for chunk in response.aiter_stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            file.write(chunk)
    if size == 0:
        raise _unusable("the result is empty")


def _write_data_url(url: str, to: Path, limit: int) -> None:
    head, comma, payload = url.partition(",")
    if not comma or not head.lower().replace(" ", "").endswith(";base64"):
        raise _unusable("the result is a data: URL, but not in base64")
    if len(payload) > limit * 4 // 3 + 4:
        raise _too_large(limit)
    try:
        content = base64.b64decode(b"".join(unquote_to_bytes(payload).split()), validate=True)
    except ValueError:
        raise _unusable("the result's base64 is broken") from None
    if not content:
        raise _unusable("the result is empty")
    with ResultFile(to) as file:
        file.write(content)


def _breakdown(error: Exception) -> Breakdown:
    if isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout | httpcore.PoolTimeout):
        return Breakdown.UNSENT
    # The parser's word for a body that ended before its announced length.
    return Breakdown.CUT_SHORT if isinstance(error, httpcore.ProtocolError) else Breakdown.NO_ANSWER


def _header(response: httpcore.Response, name: bytes) -> str:
    return next(_headers(response, name), "")


def _headers(response: httpcore.Response, name: bytes) -> Iterator[str]:
    return (value.decode("latin-1") for key, value in response.headers if key.lower() == name)


def _unusable(message: str) -> ProviderFailure:
    return ProviderFailure(FailureKind.UNUSABLE, message)


def _too_large(limit: int) -> ProviderFailure:
    return _unusable(f"the result is larger than {limit / 2**20:g} MiB")
