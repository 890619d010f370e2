"""Results: streamed, bounded, from vetted addresses, and with nothing of ours in the request."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from raw_server import CANARY, CLOSE, HANG, RESET, Received, closed_port, http, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure, StorageError
from imgbuild.providers.download import DownloadClient
from imgbuild.providers.transport import tls_context

LOOPBACK = "http://127.0.0.1:1"
PUBLIC = "https://8.8.8.8"
PIXELS = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000


async def fetch(
    url: str, to: Path, home: str = LOOPBACK, *, limit: int = 2**22, seconds: float = 20.0
) -> bytes:
    client = DownloadClient("studio", home, seconds, tls_context(), limit=limit)
    try:
        await client.fetch(url, to)
    finally:
        await client.aclose()
    return content(to)


def content(path: Path) -> bytes:
    return path.read_bytes()


async def failed(url: str, to: Path, **options: object) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as caught:
        await fetch(url, to, **options)  # type: ignore[arg-type]
    return caught.value


def test_a_result_is_written_and_the_request_carries_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with serving(http(200, PIXELS, Set_Cookie="a=b")) as server, serving(http(200)) as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            assert await fetch(f"{server.url}/r.png?sig=%2F1", tmp_path / "r") == PIXELS
            (request,) = server.received
            assert request.path == "/r.png?sig=%2F1"
            assert set(request.headers) == {"host", "accept", "accept-encoding", "user-agent"}
            assert request.headers["host"] == server.url.removeprefix("http://")
            assert proxy.received == []

    asyncio.run(scene())


def test_one_connection_serves_many_results(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(http(200, PIXELS)) as server:
            client = DownloadClient("studio", LOOPBACK, 20.0, tls_context())
            for number in range(4):
                await client.fetch(server.url, tmp_path / str(number))
            await client.aclose()
            assert server.connections == 1

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (http(403), K.UNUSABLE),
        (http(404, b"expired"), K.UNUSABLE),
        (http(401), K.UNUSABLE),
        (http(200), K.UNUSABLE),
        (http(204), K.UNUSABLE),
        (http(206, PIXELS), K.UNUSABLE),
        (http(200, PIXELS, length=len(PIXELS) + 1) + CLOSE, K.UNUSABLE),
        (http(200, PIXELS, length=2**23), K.UNUSABLE),
        (http(200, PIXELS, length=10**400), K.UNUSABLE),
        (http(200, gzip.compress(PIXELS, mtime=0), Content_Encoding="gzip"), K.UNUSABLE),
        (http(200, PIXELS, Content_Encoding="br"), K.UNUSABLE),
        (http(302), K.UNUSABLE),
        (http(302, Location="ftp://127.0.0.1/x"), K.UNUSABLE),
        (http(302, Location="//169.254.169.254/latest/meta-data"), K.UNUSABLE),
        (http(302, Location="http://[fe80::1]/"), K.UNUSABLE),
        (http(302, Location="http://2130706433/"), K.UNUSABLE),
        (http(500), K.TRANSIENT),
        (http(524), K.TRANSIENT),
        (http(429), K.RATE_LIMITED),
        (http(503, Retry_After="3"), K.RATE_LIMITED),
        (RESET, K.TRANSIENT),
        (http(200, PIXELS, length=2**21) + RESET, K.TRANSIENT),
    ],
)
def test_what_is_no_result(tmp_path: Path, reply: bytes, kind: K) -> None:
    async def scene() -> None:
        async with serving(reply) as server:
            failure = await failed(f"{server.url}/r?sig={CANARY}", tmp_path / "r")
            assert failure.kind is kind
            assert CANARY not in failure.message
            assert len(server.received) == 1

    asyncio.run(scene())


def test_retry_after_is_read(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(http(503, Retry_After="3")) as server:
            assert (await failed(server.url, tmp_path / "r")).retry_after == 3.0

    asyncio.run(scene())


@pytest.mark.parametrize("reply", [HANG, http(200, b"x", length=9) + HANG])
def test_silence_ends(tmp_path: Path, reply: bytes) -> None:
    async def scene() -> None:
        async with serving(reply) as server:
            assert (await failed(server.url, tmp_path / "r", seconds=0.3)).kind is K.TRANSIENT

    asyncio.run(scene())


def test_an_endless_body_stops_at_the_limit(tmp_path: Path) -> None:
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 64 + HANG

    async def scene() -> None:
        async with serving(reply) as server:
            failure = await failed(server.url, tmp_path / "r", limit=2**20)
            assert failure.kind is K.UNUSABLE
            assert len(content(tmp_path / "r")) <= 2**20

    asyncio.run(scene())


def test_what_arrived_of_a_broken_result_is_kept_as_evidence(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(http(200, PIXELS, length=len(PIXELS) + 9) + CLOSE) as server:
            await failed(server.url, tmp_path / "r")
        assert content(tmp_path / "r") == PIXELS
        async with serving(http(200, b"whole")) as server:
            assert await fetch(server.url, tmp_path / "r") == b"whole"

    asyncio.run(scene())


def hops(number: int) -> Callable[[Received], bytes]:
    def script(request: Received) -> bytes:
        at = int(request.path.strip("/") or 0)
        return http(200, PIXELS) if at >= number else http(302, Location=f"/{at + 1}")

    return script


def test_three_redirects_and_no_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(hops(3)) as server:
            assert await fetch(server.url, tmp_path / "r") == PIXELS
        async with serving(hops(4)) as server:
            assert (await failed(server.url, tmp_path / "r")).kind is K.UNUSABLE
            assert len(server.received) == 4

    asyncio.run(scene())


def test_https_keeps_the_name_and_never_becomes_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__).parent / "tls" / "cert.pem"))

    async def scene() -> None:
        async with serving(http(200, PIXELS), tls=True) as server:
            assert await fetch(server.url, tmp_path / "r") == PIXELS
            assert server.received[0].headers["host"].startswith("localhost:")
            by_number = server.url.replace("localhost", "127.0.0.1")
            assert (await failed(by_number, tmp_path / "r")).kind is K.TRANSIENT
        async with (
            serving(http(200, PIXELS)) as plain,
            serving(http(302, Location=plain.url), tls=True) as server,
        ):
            assert (await failed(server.url, tmp_path / "r")).kind is K.UNUSABLE
            assert plain.received == []

    asyncio.run(scene())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "１２７.0.0.1",
        "user@127.0.0.1",
    ],
)
def test_a_public_provider_leads_to_no_private_address(tmp_path: Path, host: str) -> None:
    async def scene() -> None:
        async with serving(http(200, PIXELS)) as canary:
            port = canary.url.rpartition(":")[2]
            failure = await failed(f"http://{host}:{port}/", tmp_path / "r", home=PUBLIC, seconds=5.0)
            assert failure.kind is K.UNUSABLE
            assert canary.connections == 0

    asyncio.run(scene())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "r.png",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://a b/",
        "http://\ud800/",
        "http://" + "a" * 300 + ".example/",
        "http://127.0.0.1:99999/",
        "javascript:alert(1)",
        "http://x\r\nHost: y/",
    ],
)
def test_what_is_no_address(tmp_path: Path, url: str) -> None:
    failure = asyncio.run(failed(url, tmp_path / "r"))
    assert failure.kind in (K.UNUSABLE, K.TRANSIENT)
    assert "\r" not in failure.message


def test_nobody_there_is_worth_another_try(tmp_path: Path) -> None:
    failure = asyncio.run(failed(f"http://127.0.0.1:{closed_port()}/", tmp_path / "r"))
    assert failure.kind is K.TRANSIENT


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with serving(http(200, PIXELS)) as server:
            with pytest.raises(StorageError, match="no-folder"):
                await fetch(server.url, tmp_path / "no-folder" / "r")

    asyncio.run(scene())


def test_an_image_inside_the_answer(tmp_path: Path) -> None:
    url = "data:image/png;base64," + base64.b64encode(PIXELS).decode()
    assert asyncio.run(fetch(url, tmp_path / "r")) == PIXELS
    spaced = "DATA:image/png;base64,aGVs\n bG8%3D"
    assert asyncio.run(fetch(spaced, tmp_path / "r")) == b"hello"


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png;base64,a",
        "data:image/png;base64,<html>",
        "data:image/png,hello",
        "data:image/png;base64,\ud800",
        "data:image/png;base64," + "A" * 2**21,
    ],
)
def test_a_broken_image_inside_the_answer(tmp_path: Path, url: str) -> None:
    assert asyncio.run(failed(url, tmp_path / "r", limit=2**20)).kind is K.UNUSABLE


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(st.text().filter(lambda text: "." not in text))
def test_any_text_as_a_link_is_a_provider_failure(tmp_path: Path, text: str) -> None:
    failure = asyncio.run(failed(text, tmp_path / "r", seconds=2.0))
    assert failure.kind in (K.UNUSABLE, K.TRANSIENT)
