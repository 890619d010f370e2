"""The API client: one origin, its credentials, bounded JSON answers, and every failure by its kind."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
import time
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx

from imgbuild import __version__
from imgbuild.core.errors import FailureKind, ProviderFailure, UsageError
from imgbuild.core.image import Json
from imgbuild.core.redact import clean
from imgbuild.core.retry import Breakdown, Phase, kind_of_breakdown, kind_of_status, retry_after
from imgbuild.providers.answers import words_of
from imgbuild.providers.base import ProviderSettings
from imgbuild.providers.calls import Call

ANSWER_LIMIT = 64 * 2**20
"""Bytes of a JSON answer, after decompression."""
CONNECT_TIMEOUT = 30.0
# Many servers close an idle connection after 5 s. A submission that meets a closing connection can only
# be called ambiguous, so idle connections are given up first.
_IDLE_SECONDS = 4.0

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
    Breakdown.TOO_LARGE: f"the answer is larger than {ANSWER_LIMIT // 2**20} MiB",
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
    retry_after: str | None = None


class _TooLargeError(ValueError):
    """More bytes than an answer may have."""


class ApiClient:
    """Talks to one provider's own address, and gives its credentials to nobody else.

    It never follows a redirect. Proxies from the environment are used for https only: a plain http
    request would show them the key.
    """

    def __init__(
        self, settings: ProviderSettings, base_url: str, headers: Mapping[str, str], tls: ssl.SSLContext
    ) -> None:
        self.base_url = base_url
        self._name = settings.name
        self._key = settings.api_key
        self._timeout = settings.timeout
        self._client = httpx.AsyncClient(
            headers={
                "User-Agent": f"imgbuild/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                **headers,
            },
            # Half, so that "no connection" is known as such before the whole time is over.
            timeout=httpx.Timeout(settings.timeout, connect=min(settings.timeout / 2, CONNECT_TIMEOUT)),
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=32, keepalive_expiry=_IDLE_SECONDS
            ),
            verify=tls,
            trust_env=base_url.startswith("https:"),
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def send(self, call: Call, phase: Phase) -> Json:
        """Send one request and give its JSON. Raises ProviderFailure for everything else."""
        exchange = _Exchange()
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._exchange(call, exchange)
            if _succeeded(exchange.status):
                return parse_json(body)
        except _BROKEN as error:
            if exchange.status is None or _succeeded(exchange.status):
                raise self._broken(error, exchange, phase) from None
            # The status alone says enough; only the service's words are lost.
            body = bytearray()
        raise self._refused(exchange, body, phase)

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

    async def _exchange(self, call: Call, exchange: _Exchange) -> bytearray:
        async def trace(event: str, info: Mapping[str, Any]) -> None:
            # A CONNECT goes to a proxy, and tells the service nothing yet.
            if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
                exchange.sent = True

        with ExitStack() as open_files:
            content: dict[str, Any] = {}
            if call.files:
                content["data"] = {name: _form_text(value) for name, value in (call.body or {}).items()}
                content["files"] = [
                    (part.field, (part.name, open_files.enter_context(part.path.open("rb")), part.media_type))
                    for part in call.files
                ]
            elif call.body is not None:
                content["json"] = call.body
            async with self._client.stream(
                call.method,
                self.base_url + call.path,
                extensions={"trace": trace},
                **content,
            ) as response:
                exchange.status = response.status_code
                exchange.retry_after = response.headers.get("retry-after")
                return await _read(response)

    def _broken(self, error: Exception, exchange: _Exchange, phase: Phase) -> ProviderFailure:
        breakdown = _breakdown(error, exchange)
        detail = type(error).__name__
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            detail = f"the limit is {self._timeout:g} s"
        elif isinstance(error, httpx.ConnectError | OSError) and str(error):
            # Only these tell what the user can act on, and none of them quotes a header.
            detail = str(error)
        return self.failure(kind_of_breakdown(breakdown, phase), f"{_EXPLAINED[breakdown]} ({detail})")

    def _refused(self, exchange: _Exchange, body: bytearray, phase: Phase) -> ProviderFailure:
        status = exchange.status or 0
        words, shown = _error_words(body)
        kind = kind_of_status(status, phase, words)
        seconds = retry_after(exchange.retry_after, time.time()) if kind is FailureKind.RATE_LIMITED else None
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
        usable = usable and httpx.URL(text).host != "" and not any(map(str.isspace, text))
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


def parse_json(body: bytes | bytearray) -> Json:
    """JSON with the numbers that JSON does not have (NaN, 1e999) read as null. Raises ValueError."""
    value: Json = json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
    return value


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _succeeded(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


async def _read(response: httpx.Response) -> bytearray:
    """The body, inflated, never more than the limit in memory: compressed bombs die here."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"content encoding {clean(encoding, limit=40)}")
    inflater = None if encoding in ("", "identity") else zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    async for chunk in response.aiter_raw():
        room = ANSWER_LIMIT - len(body)
        body += chunk if inflater is None else inflater.decompress(chunk, room + 1)
        if len(body) > ANSWER_LIMIT:
            raise _TooLargeError
    if inflater is not None and not inflater.eof:
        raise httpx.DecodingError("compressed data broke off")
    return body


def _breakdown(error: Exception, exchange: _Exchange) -> Breakdown:
    if isinstance(error, _TooLargeError):
        return Breakdown.TOO_LARGE
    if not exchange.sent:
        impossible = isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol)
        connecting = isinstance(error, httpx.TransportError | TimeoutError) and not impossible
        return Breakdown.UNSENT if connecting else Breakdown.UNSENDABLE
    if exchange.status is None:
        return Breakdown.NO_ANSWER
    unreadable = isinstance(error, httpx.DecodingError | zlib.error | RecursionError | ValueError)
    return Breakdown.UNREADABLE if unreadable else Breakdown.CUT_SHORT


def _error_words(body: bytearray) -> tuple[str, str]:
    """An error body's words for judging, from JSON only, and for showing."""
    try:
        words = words_of(parse_json(body))
    except (ValueError, RecursionError):
        # A proxy's page says nothing about the request, and may contain any word.
        text = body[:2000].decode(errors="replace").strip()
        return "", "" if text.startswith("<") else text
    return words, words


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _form_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
