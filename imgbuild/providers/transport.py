"""The API client: one origin, its credentials, bounded JSON answers, and every failure by its kind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx

from imgbuild.core.errors import FailureKind, ProviderFailure, UsageError
from imgbuild.core.image import Json
from imgbuild.core.redact import clean
from imgbuild.core.retry import (
    RETRY_AFTER_LIMIT,
    Breakdown,
    Phase,
    kind_of_breakdown,
    kind_of_status,
    longest_retry_after,
    retry_after,
)
from imgbuild.providers.answers import parse_json, retry_delay_of, words_of
from imgbuild.providers.base import ProviderSettings
from imgbuild.providers.calls import Call, FilePart
from imgbuild.providers.clients import Clients
from imgbuild.providers.spill import Spilled, TooLargeError, read_spilled

T = TypeVar("T")

ANSWER_LIMIT = 64 * 2**20
"""Bytes of a JSON answer, after decompression."""
SPILLED_LIMIT = 512 * 2**20
"""The same for an answer with pictures in it, which go to files."""
_PORTS = {"http": 80, "https": 443}
_PIECE = 256 * 2**10
"""Bytes that compressed data may become at a time."""

_BROKEN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    ValueError,
    RecursionError,
    zlib.error,
)

_EXPLAINED: Mapping[Breakdown, str] = {
    Breakdown.UNSENDABLE: "the request cannot be sent as it is",
    Breakdown.UNSENT: "could not connect",
    Breakdown.NO_ANSWER: "the connection broke or stayed silent after the request was sent",
    Breakdown.CUT_SHORT: "the answer broke off",
    Breakdown.UNREADABLE: "the answer is not the JSON that was expected",
    Breakdown.TOO_LARGE: "the answer is too large",
}

_REMEDIES: Mapping[FailureKind, str] = {
    FailureKind.AUTH: "check the provider's API key, and that it may use this model",
    FailureKind.CREDIT: "add credit to the account; what is already paid for will be fetched",
    FailureKind.AMBIGUOUS: "it may have been charged: look at the service's own list of tasks; to submit it"
    " again, build with --retry-ambiguous",
    FailureKind.REFUSED: "change the prompt or the references",
}


@dataclass(slots=True)
class _Exchange:
    """What is known about an exchange when it breaks."""

    sent: bool = False
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)


class ApiClient:
    """Talks to one provider's own address, and gives its credentials to nobody else.

    It never follows a redirect. Proxies from the environment are used for https only: a plain http
    request would show them the key. `heed` is shown the headers of every answer, refusals too.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        base_url: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext,
        heed: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        self.base_url = base_url
        self._heed = heed
        self._scratch = settings.scratch
        self._name = settings.name
        self._key = settings.api_key
        self._timeout = settings.timeout
        self._clients = Clients(settings.timeout, headers, tls, trust_env=base_url.startswith("https:"))

    async def aclose(self) -> None:
        """Close connections."""
        await self._clients.aclose()

    async def send(self, call: Call, phase: Phase) -> Json:
        """Send one request and give its JSON. Raises ProviderFailure for everything else."""
        return await self._send(call, phase, _json)

    async def send_spilled(self, call: Call, phase: Phase) -> Spilled:
        """The same for an answer with pictures in it: they are decoded into files as they arrive.

        The files are the caller's. Raises StorageError, too, where the disk refuses.
        """
        return await self._send(call, phase, self._spilled)

    def failure(
        self, kind: FailureKind, message: str, *, retry_after: float | None = None
    ) -> ProviderFailure:
        """A failure that names the provider, with the service's words made safe."""
        return ProviderFailure(
            kind,
            f"{self._name}: {clean(message, [self._key])}",
            retry_after=retry_after,
            remedy=_REMEDIES.get(kind),
        )

    async def _send(self, call: Call, phase: Phase, read: Callable[[httpx.Response], Awaitable[T]]) -> T:
        exchange, refusal = _Exchange(), bytearray()
        try:
            async with asyncio.timeout(self._timeout), self._answer(call, exchange) as response:
                if _succeeded(response.status_code):
                    return await read(response)
                refusal = await _body(response)
        except _BROKEN as error:
            if exchange.status is None or _succeeded(exchange.status):
                raise self._broken(error, exchange, phase) from None
            # The status alone says enough; only the service's words are lost.
        raise self._refused(exchange, refusal, phase)

    async def _spilled(self, response: httpx.Response) -> Spilled:
        return await read_spilled(_inflated(response), self._scratch, limit=SPILLED_LIMIT)

    @asynccontextmanager
    async def _answer(self, call: Call, exchange: _Exchange) -> AsyncIterator[httpx.Response]:
        async def trace(event: str, info: Mapping[str, Any]) -> None:
            # A CONNECT goes to a proxy, and tells the service nothing yet.
            if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
                exchange.sent = True

        with ExitStack() as open_files:
            content: dict[str, Any] = {}
            if call.files or call.form:
                # A part without a file name is a field; as `data` alone they would make no multipart form.
                fields = [(name, (None, _form_text(value))) for name, value in (call.body or {}).items()]
                content["files"] = fields + [
                    (part.field, (part.name, open_files.enter_context(self._opened(part)), part.media_type))
                    for part in call.files
                ]
            elif call.body is not None:
                content["json"] = call.body
            async with (
                self._clients.lend() as client,
                client.stream(
                    call.method,
                    self.base_url + call.path,
                    headers=call.headers,
                    extensions={"trace": trace},
                    **content,
                ) as response,
            ):
                exchange.status = response.status_code
                exchange.headers = response.headers
                if self._heed is not None:
                    self._heed(response.headers)
                yield response

    def _opened(self, part: FilePart) -> BinaryIO:
        try:
            file = part.path.open("rb")
        except OSError as error:
            # Not as a broken exchange: it is the disk that refuses, and nothing was sent.
            raise self.failure(
                FailureKind.INVALID, f"cannot read {part.path}: {error.strerror or error}"
            ) from None
        if part.digest and hashlib.file_digest(file, "sha256").hexdigest() != part.digest:
            # What lies there now was never looked at: it may be anything, and would be sent away.
            file.close()
            raise self.failure(FailureKind.INVALID, f"{part.path.name} changed while building")
        file.seek(0)
        return file

    def _broken(self, error: Exception, exchange: _Exchange, phase: Phase) -> ProviderFailure:
        breakdown = _breakdown(error, exchange)
        detail = type(error).__name__
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            detail = f"the limit is {self._timeout:g} s"
        elif isinstance(error, TooLargeError):
            detail = str(error)
        elif isinstance(error, httpx.ConnectError | OSError) and str(error):
            # Only these tell what the user can act on, and none of them quotes a header.
            detail = str(error)
        return self.failure(kind_of_breakdown(breakdown, phase), f"{_EXPLAINED[breakdown]} ({detail})")

    def _refused(self, exchange: _Exchange, body: bytearray, phase: Phase) -> ProviderFailure:
        status = exchange.status or 0
        words, shown, asked = _error_words(body)
        kind = kind_of_status(status, phase, words)
        seconds = _patience(exchange.headers, asked) if kind is FailureKind.RATE_LIMITED else None
        where = f" to {phase}" if kind is FailureKind.UNUSABLE else ""
        hint = "; base_url should name the address it redirects to" if 300 <= status < 400 else ""
        said = f": {clean(shown, [self._key])}" if shown else ""
        return self.failure(kind, f"HTTP {status}{_phrase(status)}{where}{said}{hint}", retry_after=seconds)


def api_base(settings: ProviderSettings, default: str | None = None) -> str:
    """The address that every path is put behind, without a trailing slash. Raises UsageError."""
    text = (settings.base_url or default or "").strip()
    if not text:
        raise UsageError(
            f"provider {settings.name} has no address",
            remedy=f"give it a base_url: {settings.type} has no public default",
        )
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        sent_to = httpx.URL(text)
        usable = usable and sent_to.host != "" and not any(map(str.isspace, text))
        # Whom the key is trusted with is read from `parts`: `[::1]8080` has a port for one of them only.
        usable = usable and (sent_to.port or _PORTS[parts.scheme]) == (parts.port or _PORTS[parts.scheme])
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable or parts.query or parts.fragment or parts.username or parts.password:
        raise UsageError(
            f"provider {settings.name}: base_url is not an address that can be used: {clean(text)}",
            remedy="write it as https://host or https://host/path, without user name, query or fragment",
        )
    return text.rstrip("/")


def bearer(settings: ProviderSettings) -> dict[str, str]:
    """The `Authorization` header of the provider's key. Raises UsageError where there is no usable key."""
    return {"Authorization": f"Bearer {usable_key(settings)}"}


def usable_key(settings: ProviderSettings) -> str:
    """The key, checked to fit into a header. Raises UsageError."""
    key = settings.api_key
    if not key:
        raise UsageError(f"provider {settings.name} has no API key", remedy="set the variable that it names")
    if not all("!" <= character <= "~" for character in key):
        # Found here: an error from deeper down would quote the key.
        raise UsageError(
            f"the API key of provider {settings.name} has spaces or characters that no key has",
            remedy="check the variable that it comes from",
        )
    return key


def tls_context() -> ssl.SSLContext:
    """Verified TLS with httpx's certificates, or those that SSL_CERT_FILE names."""
    return httpx.create_ssl_context()


def _succeeded(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


async def _json(response: httpx.Response) -> Json:
    return parse_json(await _body(response))


async def _body(response: httpx.Response) -> bytearray:
    """The body, inflated, never more than the limit in memory."""
    body = bytearray()
    async for chunk in _inflated(response):
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raise TooLargeError(f"the limit is {ANSWER_LIMIT // 2**20} MiB")
    return body


async def _inflated(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body, inflated in pieces of bounded size: compressed bombs never unfold in memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"content encoding {clean(encoding, limit=40)}")
    if encoding in ("", "identity"):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    async for chunk in response.aiter_raw():
        while chunk and not inflater.eof:
            yield inflater.decompress(chunk, _PIECE)
            chunk = inflater.unconsumed_tail
    while not inflater.eof and (rest := inflater.decompress(b"", _PIECE)):
        yield rest
    if not inflater.eof:
        raise httpx.DecodingError("compressed data broke off")


def _patience(headers: httpx.Headers, asked: str | None) -> float | None:
    """Seconds that an answer asks to wait, exactly where it says so in milliseconds.

    `asked` is what its body asks for, where its headers do not.
    """
    now = time.time()
    exact = retry_after(headers.get("retry-after-ms"), now, RETRY_AFTER_LIMIT * 1000)
    if exact is not None:
        return exact / 1000
    return longest_retry_after(headers.get_list("retry-after") or [asked], now)


def _breakdown(error: Exception, exchange: _Exchange) -> Breakdown:
    if isinstance(error, TooLargeError):
        return Breakdown.TOO_LARGE
    if not exchange.sent:
        impossible = isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol)
        connecting = isinstance(error, httpx.TransportError | TimeoutError) and not impossible
        return Breakdown.UNSENT if connecting else Breakdown.UNSENDABLE
    if exchange.status is None:
        return Breakdown.NO_ANSWER
    unreadable = isinstance(error, httpx.DecodingError | zlib.error | RecursionError | ValueError)
    return Breakdown.UNREADABLE if unreadable else Breakdown.CUT_SHORT


def _error_words(body: bytearray) -> tuple[str, str, str | None]:
    """An error body's words for judging, from JSON only, and for showing; and the patience that it asks."""
    try:
        answer = parse_json(body)
        words = words_of(answer)
    except (ValueError, RecursionError):
        # A proxy's page says nothing about the request, and may contain any word.
        text = body[:2000].decode(errors="replace").strip()
        return "", "" if text.startswith("<") else text, None
    return words, words, retry_delay_of(answer)


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _form_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
