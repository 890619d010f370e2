"""The API client against a server that misbehaves in every way: what may have been charged, what leaks."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import traceback
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from raw_server import CANARY, CLOSE, HANG, RESET, answer, closed_port, http, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure, UsageError
from imgbuild.core.image import Json
from imgbuild.core.retry import Phase
from imgbuild.providers.base import ProviderSettings
from imgbuild.providers.calls import Call, FilePart
from imgbuild.providers.transport import ANSWER_LIMIT, ApiClient, api_base, bearer, tls_context

Settings = Callable[..., ProviderSettings]
POST = Call("POST", "/v1/things", {"prompt": "a cat"})


async def send(settings: ProviderSettings, phase: Phase = Phase.SUBMIT, call: Call = POST) -> Json:
    client = ApiClient(settings, api_base(settings), bearer(settings), tls_context())
    try:
        return await client.send(call, phase)
    finally:
        await client.aclose()


def failure(
    settings: Settings, reply: bytes, phase: Phase = Phase.SUBMIT, **changes: object
) -> ProviderFailure:
    async def scene() -> ProviderFailure:
        async with serving(reply) as server:
            with pytest.raises(ProviderFailure) as caught:
                await send(settings(server.url, **changes), phase)
            return caught.value

    return asyncio.run(scene())


def test_the_key_goes_with_the_request_to_the_base_address(settings: Settings) -> None:
    async def scene() -> None:
        async with serving(answer({"ok": 1})) as server:
            assert await send(settings(server.url + "/with/path/")) == {"ok": 1}
            (request,) = server.received
            assert (request.method, request.path) == ("POST", "/with/path/v1/things")
            assert request.headers["authorization"] == f"Bearer {CANARY}"
            assert request.json() == {"prompt": "a cat"}

    asyncio.run(scene())


def test_one_connection_serves_many_requests(settings: Settings) -> None:
    async def scene() -> None:
        async with serving(answer({})) as server:
            config = settings(server.url)
            client = ApiClient(config, api_base(config), bearer(config), tls_context())
            for _ in range(5):
                await client.send(POST, Phase.POLL)
            await client.aclose()
            assert (server.connections, len(server.received)) == (1, 5)

    asyncio.run(scene())


def test_files_go_as_a_form_without_their_local_names(settings: Settings, tmp_path: Path) -> None:
    picture = tmp_path / "private-name.png"
    picture.write_bytes(b"\x89PNG pixels")
    parts = tuple(FilePart("image", picture, f"reference-{n}.png", "image/png") for n in (1, 2))
    call = Call("POST", "/v1/things", {"prompt": "ein Bär", "n": 2, "deep": {"a": True}}, parts)

    async def scene() -> None:
        async with serving(answer({})) as server:
            await send(settings(server.url), call=call)
            (request,) = server.received
            assert request.headers["content-type"].startswith("multipart/form-data")
            assert request.body.count(b'name="image"; filename="reference-') == 2
            assert request.body.count(b"\x89PNG pixels") == 2
            assert 'name="prompt"\r\n\r\nein Bär\r\n'.encode() in request.body
            assert b'name="n"\r\n\r\n2\r\n' in request.body
            assert b'name="deep"\r\n\r\n{"a": true}\r\n' in request.body
            assert b"private-name" not in request.body

    asyncio.run(scene())


def test_a_file_that_vanished_is_said_before_anything_is_sent(settings: Settings, tmp_path: Path) -> None:
    call = Call("POST", "/x", {}, (FilePart("image", tmp_path / "gone.png", "r.png", "image/png"),))

    async def scene() -> None:
        async with serving(answer({})) as server:
            with pytest.raises(ProviderFailure, match=r"gone\.png") as caught:
                await send(settings(server.url), call=call)
            assert caught.value.kind is K.INVALID
            assert server.received == []

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("reply", "submit", "poll"),
    [
        (RESET, K.AMBIGUOUS, K.TRANSIENT),
        (CLOSE, K.AMBIGUOUS, K.TRANSIENT),
        (b"garbage\r\n\r\n" + CLOSE, K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b'{"task_id": "t', length=500) + CLOSE, K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b'{"task_id": "t', length=500) + RESET, K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b"<html>welcome</html>"), K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b""), K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b"\xff\xfe\xfd"), K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b"[" * 100_000), K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b"9" * 6_000), K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b"{}", Content_Encoding="br"), K.AMBIGUOUS, K.TRANSIENT),
        (http(200, b"not gzip", Content_Encoding="gzip"), K.AMBIGUOUS, K.TRANSIENT),
        (
            http(200, gzip.compress(b"{}" * 50, mtime=0)[:-9], Content_Encoding="gzip"),
            K.AMBIGUOUS,
            K.TRANSIENT,
        ),
        (http(500, b"oops", length=500) + CLOSE, K.AMBIGUOUS, K.TRANSIENT),
        (http(524, b"<html>content policy</html>"), K.AMBIGUOUS, K.TRANSIENT),
        (http(400, b"no", length=500) + RESET, K.INVALID, K.UNUSABLE),
        (answer({"error": {"message": "no", "code": "moderation_blocked"}}, 400), K.REFUSED, K.REFUSED),
        (answer({"code": "insufficient_user_quota", "message": "no"}, 403), K.CREDIT, K.CREDIT),
        (http(401), K.AUTH, K.AUTH),
        (http(404, b"no such route"), K.INVALID, K.UNUSABLE),
        (http(599), K.AMBIGUOUS, K.TRANSIENT),
    ],
)
def test_what_went_wrong_decides_the_kind(settings: Settings, reply: bytes, submit: K, poll: K) -> None:
    assert failure(settings, reply).kind is submit
    assert failure(settings, reply, Phase.POLL).kind is poll


@pytest.mark.parametrize("reply", [HANG, http(200, b"{", length=9) + HANG, b"HTTP/1.1 200" + HANG])
def test_silence_after_sending_may_have_been_charged(settings: Settings, reply: bytes) -> None:
    assert failure(settings, reply, timeout=0.3).kind is K.AMBIGUOUS
    assert failure(settings, reply, Phase.POLL, timeout=0.3).kind is K.TRANSIENT


def test_an_ambiguous_failure_says_that_money_may_be_gone(settings: Settings) -> None:
    assert "may have been charged" in (failure(settings, RESET).remedy or "")


def test_no_connection_is_never_ambiguous(settings: Settings) -> None:
    async def scene() -> None:
        async with serving(answer({})) as server:
            no_tls = server.url.replace("http:", "https:")
            for base in (f"http://127.0.0.1:{closed_port()}", no_tls, "http://no-such-host.invalid"):
                with pytest.raises(ProviderFailure) as caught:
                    await send(settings(base, timeout=1.0))
                assert caught.value.kind is K.TRANSIENT, base

    asyncio.run(scene())


def test_a_name_that_does_not_match_the_certificate_gets_no_key(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(__file__).parent / "tls" / "cert.pem"))

    async def scene() -> None:
        async with serving(answer({"ok": 1}), tls=True) as server:
            assert await send(settings(server.url)) == {"ok": 1}
            with pytest.raises(ProviderFailure) as caught:
                await send(settings(server.url.replace("localhost", "127.0.0.1")))
            assert caught.value.kind is K.TRANSIENT
            assert len(server.received) == 1

    asyncio.run(scene())


@pytest.mark.parametrize("prompt", ["half \ud800 pair", float("nan")])
def test_what_no_json_can_hold_is_never_sent(settings: Settings, prompt: Json) -> None:
    async def scene() -> None:
        async with serving(answer({})) as server:
            with pytest.raises(ProviderFailure) as caught:
                await send(settings(server.url), call=Call("POST", "/x", {"prompt": prompt}))
            assert caught.value.kind is K.INVALID
            assert server.received == []

    asyncio.run(scene())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(settings: Settings, status: int) -> None:
    async def scene() -> None:
        async with (
            serving(answer({})) as elsewhere,
            serving(http(status, Location=f"{elsewhere.url}/x")) as server,
        ):
            with pytest.raises(ProviderFailure, match="base_url") as caught:
                await send(settings(server.url))
            assert caught.value.kind is K.INVALID
            assert elsewhere.received == []

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("-1", None), ("nan", None), ("1e309", None), ("999999", 300.0)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read(settings: Settings, status: int, header: str, seconds: float | None) -> None:
    failed = failure(settings, http(status, b"busy", Retry_After=header))
    assert (failed.kind, failed.retry_after) == (K.RATE_LIMITED, seconds)


def test_retry_after_counts_even_if_the_body_breaks(settings: Settings) -> None:
    failed = failure(settings, http(429, b"busy", length=99, Retry_After="7") + RESET)
    assert (failed.kind, failed.retry_after) == (K.RATE_LIMITED, 7.0)


def test_a_compressed_answer_is_read_although_none_was_asked_for(settings: Settings) -> None:
    async def scene() -> None:
        for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
            body = pack(json.dumps({"text": "x" * 10_000}).encode())
            async with serving(http(200, body, Content_Encoding=encoding)) as server:
                assert await send(settings(server.url)) == {"text": "x" * 10_000}
                assert server.received[0].headers["accept-encoding"] == "identity"

    asyncio.run(scene())


def test_a_bomb_is_refused_without_being_held_in_memory(settings: Settings) -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(300)) + packer.flush()
    assert len(bomb) < 400_000
    tracemalloc.start()
    failed = failure(settings, http(200, bomb, Content_Encoding="gzip"), Phase.POLL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert failed.kind is K.UNUSABLE
    assert peak < 4 * ANSWER_LIMIT


def test_numbers_that_json_does_not_have_become_null(settings: Settings) -> None:
    async def scene() -> None:
        async with serving(http(200, b'{"a": NaN, "b": 1e999, "c": -Infinity, "d": 1.5}')) as server:
            assert await send(settings(server.url)) == {"a": None, "b": None, "c": None, "d": 1.5}

    asyncio.run(scene())


def test_a_plain_http_request_shows_the_key_to_no_proxy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with serving(answer({})) as proxy, serving(answer({"direct": True})) as server:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            assert await send(settings(server.url)) == {"direct": True}
            assert proxy.received == []

    asyncio.run(scene())


def test_a_failing_proxy_is_no_submission(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with serving(http(502)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with pytest.raises(ProviderFailure) as caught:
                await send(settings("https://service.invalid"))
            assert caught.value.kind is K.TRANSIENT
            assert [request.method for request in proxy.received] == ["CONNECT"]
            assert CANARY not in proxy.received[0].raw_head

    asyncio.run(scene())


ECHO = f"your key {CANARY} at https://h.example/?token={CANARY} \x1b]52;c;x\x07 \u202etxt"


@pytest.mark.parametrize(
    "reply",
    [
        RESET,
        CLOSE,
        http(200, ECHO.encode()),
        http(500, ECHO.encode()),
        http(400, ECHO.encode()),
        http(429, ECHO.encode(), Retry_After=CANARY),
        answer({"error": {"message": ECHO, "code": CANARY}}, 401),
        answer({"code": "fail", "message": ECHO, "data": [ECHO]}, 403),
        http(307, Location=f"http://127.0.0.1:1/?key={CANARY}"),
        http(200, b"", Content_Encoding=CANARY),
    ],
)
def test_the_key_and_control_characters_are_in_no_error(
    settings: Settings, reply: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    failed = failure(settings, reply)
    shown = "".join(traceback.format_exception(failed)) + repr(failed) + str(failed.remedy) + caplog.text
    assert CANARY not in shown
    assert "\x1b" not in failed.message
    assert "\u202e" not in failed.message


def test_the_services_words_are_shown(settings: Settings) -> None:
    failed = failure(settings, answer({"error": {"message": "bad size", "code": "invalid_size"}}, 400))
    assert failed.message == "studio: HTTP 400 Bad Request: bad size (invalid_size)"


@pytest.mark.parametrize("key", [CANARY + "\n", f"{CANARY} x", f"{CANARY}\x00", f"{CANARY}é", "", None])
def test_a_key_that_fits_no_header_is_refused_without_being_quoted(
    settings: Settings, key: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        bearer(settings("http://127.0.0.1:1", api_key=key))
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "base_url",
    [
        None,
        "",
        "example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "https://user:pass@example.com",
        "https://example.com/?a=b",
        "https://example.com/#x",
        "https://exa mple.com",
        "https://[::1",
        "https://example.com:99999",
        "https://example.com:port",
    ],
)
def test_an_unusable_base_address_is_a_usage_error(settings: Settings, base_url: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        api_base(settings(base_url))
    assert "pass@" not in caught.value.message
    assert caught.value.remedy


def test_a_base_address_may_have_a_path_and_a_slash_and_a_default(settings: Settings) -> None:
    assert api_base(settings("https://h.example/api/")) == "https://h.example/api"
    assert api_base(settings(None), "https://default.example") == "https://default.example"
