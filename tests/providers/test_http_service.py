"""A described service over real HTTP: where the key goes, forms, pictures in answers, and failures."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from raw_server import CANARY, Received, Server, answer, http, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure, UsageError
from imgbuild.core.image import Json
from imgbuild.providers.base import (
    FileResult,
    Finished,
    Pending,
    Provider,
    ProviderSettings,
    ReferenceFile,
    Request,
    UrlResult,
)
from imgbuild.providers.http import TYPE

Settings = Callable[..., ProviderSettings]
TASKS: dict[str, Json] = {
    "submit": {"path": "/v1/images", "json": {"prompt": "{{ prompt }}"}, "id": "id", "status": "status"},
    "poll": {"path": "/v1/tasks/{id}", "results": "url", "error": "error"},
}
AT_ONCE: dict[str, Json] = {
    "submit": {"path": "/v1/generate", "form": {"prompt": "{{ prompt }}"}, "results": "images"},
}


def connected(settings: ProviderSettings, options: dict[str, Json]) -> Provider:
    return TYPE.configured(options).connect(settings)


def one_exchange(
    settings: Settings, options: dict[str, Json], reply: bytes, request: Request
) -> tuple[Pending | Finished, Server]:
    async def run() -> tuple[Pending | Finished, Server]:
        async with serving(reply) as server:
            provider = connected(settings(f"{server.url}/base/"), options)
            try:
                return await provider.submit(request), server
            finally:
                await provider.aclose()

    return asyncio.run(run())


def test_a_task_from_submission_to_result(settings: Settings) -> None:
    answers = {
        "/base/v1/images": {"id": "t-1", "status": "queued"},
        "/base/v1/tasks/t-1": {"status": "done", "url": "../1.png"},
    }

    async def run() -> list[Received]:
        async with serving(lambda request: answer(answers[request.path])) as server:
            provider = connected(settings(f"{server.url}/base"), TASKS)
            try:
                assert await provider.submit(Request("a hill")) == Pending("t-1", "queued")
                found = await provider.poll("t-1")
                assert found == Finished((UrlResult(f"{server.url}/1.png"),), "t-1")
            finally:
                await provider.aclose()
            return server.received

    submitted, polled = asyncio.run(run())
    assert (submitted.method, submitted.json()) == ("POST", {"prompt": "a hill"})
    assert (polled.method, polled.body) == ("GET", b"")
    assert {each.headers["authorization"] for each in (submitted, polled)} == {f"Bearer {CANARY}"}


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"header": "X-Api-Key", "format": "{key}"}, "x-api-key", CANARY),
        ({"format": "Key {key}"}, "authorization", f"Key {CANARY}"),
        ("none", "authorization", None),
    ],
)
def test_the_key_goes_into_the_header_that_is_named(
    settings: Settings, auth: Json, name: str, value: str | None
) -> None:
    reply = answer({"id": "t", "status": "queued"})
    _, server = one_exchange(settings, {**TASKS, "auth": auth}, reply, Request("a"))
    head = server.received[0]
    assert head.headers.get(name) == value
    assert head.raw_head.count(CANARY) == (value is not None)


def test_a_service_without_a_key_needs_none(settings: Settings) -> None:
    assert not TYPE.configured({**TASKS, "auth": "none"}).needs_key
    kind = TYPE.configured(TASKS)
    assert kind.needs_key
    with pytest.raises(UsageError, match="has no API key"):
        kind.connect(settings("http://127.0.0.1:9", api_key=None))
    with pytest.raises(UsageError, match="is not described"):
        TYPE.connect(settings("http://127.0.0.1:9"))


def test_headers_of_its_own(settings: Settings) -> None:
    submit: Json = {
        "path": "/g",
        "json": {"prompt": "{{ prompt }}"},
        "results": "url",
        "headers": {"X-Version": "2"},
    }
    _, server = one_exchange(
        settings, {"submit": submit}, answer({"url": "https://a.example/1"}), Request("a")
    )
    assert server.received[0].headers["x-version"] == "2"


def test_pictures_in_an_answer_are_in_files_and_in_data_urls(settings: Settings, tmp_path: Path) -> None:
    large, small = b"\x89PNG\r\n\x1a\n" + bytes(300_000), b"\x89PNG\r\n\x1a\n and so on"
    images = [base64.b64encode(large).decode(), f"data:image/png;base64,{base64.b64encode(large).decode()}"]
    reply = answer({"images": [*images, base64.b64encode(small).decode()]})

    async def run() -> None:
        async with serving(reply) as server:
            provider = connected(settings(server.url), AT_ONCE)
            try:
                found = await provider.submit(Request("a"))
                assert isinstance(found, Finished)
                first, second, third = found.results
                assert isinstance(first, FileResult)
                assert isinstance(second, FileResult)
                assert first.path.read_bytes() == second.path.read_bytes() == large
                assert isinstance(third, UrlResult)
                await provider.download(third.url, tmp_path / "small.png")
            finally:
                await provider.aclose()

    asyncio.run(run())
    assert (tmp_path / "small.png").read_bytes() == small


def test_pictures_that_nobody_asked_for_leave_no_file(settings: Settings, tmp_path: Path) -> None:
    junk = base64.b64encode(bytes(300_000)).decode()
    reply = answer({"preview": junk, "id": "t", "status": "queued"})
    found, _ = one_exchange(settings, TASKS, reply, Request("a"))
    assert isinstance(found, Pending)
    assert list(tmp_path.iterdir()) == []


def test_a_form_is_multipart_with_and_without_files(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "secret-name.png"
    path.write_bytes(b"PNG bytes")
    submit: Json = {**AT_ONCE["submit"], "files": {"image[]": "references"}}  # type: ignore[dict-item]
    reply = answer({"images": "https://a.example/1.png"})
    for references in ((), (ReferenceFile(path, sha256(path.read_bytes()).hexdigest(), "image/png"),)):
        request = Request("ein Hügel", references=references, params={"steps": 4})
        _, server = one_exchange(settings, {"submit": submit}, reply, request)
        (received,) = server.received
        assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b'name="prompt"\r\n\r\nein H\xc3\xbcgel\r\n' in received.body
        assert b'name="steps"\r\n\r\n4\r\n' in received.body
        assert (b'name="image[]"; filename="image[]-1.png"' in received.body) is bool(references)
        assert b"secret-name" not in received.body


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer({"error": {"message": "bad key"}}, 401), K.AUTH),
        (answer({"error": {"message": "slow down"}}, 429, Retry_After="7"), K.RATE_LIMITED),
        (answer({"error": {"message": "no such size"}}, 400), K.INVALID),
        (answer({"error": "content policy"}, 400), K.REFUSED),
        (http(502, b"<html>"), K.AMBIGUOUS),
        (http(200, b"<html>"), K.AMBIGUOUS),
        (http(302, b"", Location="https://elsewhere.example/"), K.INVALID),
        (answer({"error": f"the key {CANARY} is unknown"}), K.INVALID),
    ],
)
def test_failures_have_their_kinds(settings: Settings, reply: bytes, kind: K) -> None:
    with pytest.raises(ProviderFailure) as caught:
        one_exchange(settings, TASKS, reply, Request("a"))
    assert caught.value.kind is kind
    assert caught.value.retry_after == (7.0 if kind is K.RATE_LIMITED else None)
    assert CANARY not in str(caught.value)


def test_a_hostile_task_id_is_never_asked_for(settings: Settings) -> None:
    with pytest.raises(ProviderFailure) as caught:
        one_exchange(settings, TASKS, answer({"id": "../../x", "status": "queued"}), Request("a"))
    assert caught.value.kind is K.AMBIGUOUS


def test_a_key_in_an_answer_is_struck_out(settings: Settings) -> None:
    reply = answer({"id": "t", "status": f"queued for {CANARY}"})
    found, _ = one_exchange(settings, TASKS, reply, Request("a"))
    assert CANARY not in json.dumps(repr(found))
