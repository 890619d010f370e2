"""Answers with pictures inside: whatever their size and shape, the bytes come out and memory stays small."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as law
from hypothesis import strategies as st
from raw_server import CLOSE, HANG, RESET, http, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure, StorageError
from imgbuild.core.retry import Phase
from imgbuild.providers import transport
from imgbuild.providers.base import ProviderSettings
from imgbuild.providers.calls import Call
from imgbuild.providers.spill import LONG, SKELETON_LIMIT, Spilled, TooLargeError, image_of, read_spilled
from imgbuild.providers.transport import ApiClient, api_base, bearer, tls_context

Read = Callable[..., Spilled]
MIB = 2**20
NOISE = bytes(range(256)) * 400
"""Longer than what stays in memory, also after it is encoded, with all 64 digits in it."""


async def _pieces(body: bytes, step: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), step):
        yield body[at : at + step]


@pytest.fixture
def scratch(tmp_path: Path) -> Callable[[], Path]:
    numbers = count()
    return lambda: tmp_path / f"spilled-{next(numbers)}"


@pytest.fixture
def read(scratch: Callable[[], Path]) -> Read:
    def run(body: bytes, step: int = 4096, limit: int = 2**30) -> Spilled:
        return asyncio.run(read_spilled(_pieces(body, step), scratch, limit=limit))

    return run


def answer(encoded: str | bytes) -> bytes:
    text = encoded.encode() if isinstance(encoded, str) else encoded
    return b'{"created": 1, "data": [{"b64_json": "' + text + b'"}], "usage": {"total": 7}}'


def picture(spilled: Spilled) -> bytes:
    """The bytes behind the one token of an answer."""
    assert isinstance(spilled.json, dict)
    token: Any = spilled.json["data"][0]["b64_json"]  # type: ignore[index, call-overload]
    assert list(spilled.files) == [token]
    assert spilled.json == {"created": 1, "data": [{"b64_json": token}], "usage": {"total": 7}}
    return spilled.files[token].read_bytes()


WRITINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": base64.b64encode,
    "url-safe": base64.urlsafe_b64encode,
    "without padding": lambda data: base64.b64encode(data).rstrip(b"="),
    "php": lambda data: base64.b64encode(data).replace(b"/", rb"\/"),
    "dotnet": lambda data: base64.b64encode(data).replace(b"+", rb"\u002B"),
    "gson": lambda data: base64.b64encode(data).replace(b"=", rb"\u003d").replace(b"/", rb"\u002f"),
    "mime": lambda data: base64.encodebytes(data).replace(b"\n", rb"\r\n"),
    "data url": lambda data: b"data:image/png;base64," + base64.b64encode(data),
    "php data url": lambda data: rb"data:image\/png;base64," + base64.b64encode(data).replace(b"/", rb"\/"),
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("length", [len(NOISE), len(NOISE) - 1, len(NOISE) - 2])
def test_every_way_to_write_base64_gives_the_bytes(read: Read, writing: str, length: int) -> None:
    assert picture(read(answer(WRITINGS[writing](NOISE[:length])))) == NOISE[:length]


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 4095, LONG, LONG + 1, 10**7])
def test_it_does_not_matter_where_the_pieces_are_cut(read: Read, writing: str, step: int) -> None:
    assert picture(read(answer(WRITINGS[writing](NOISE[:50_000])), step)) == NOISE[:50_000]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text('"\\/u0{}[],:é\n').map(lambda t: t * 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@law(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=JSON, ascii=st.booleans(), step=st.integers(1, 40))
def test_what_has_no_long_strings_is_read_as_json_reads_it(
    read: Read, value: object, ascii: bool, step: int
) -> None:
    spilled = read(json.dumps(value, ensure_ascii=ascii).encode(), step)
    assert (spilled.json, spilled.files) == (value, {})


@law(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(
    texts=st.lists(st.text(max_size=30), max_size=3),
    pictures=st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=3),
    step=st.integers(1, 9000),
)
def test_pictures_among_texts_keep_their_places(
    read: Read, texts: list[str], pictures: list[bytes], step: int
) -> None:
    long = [part * (LONG // len(part)) for part in pictures]
    value = {"texts": texts, "data": [base64.b64encode(data).decode() for data in long], "more": texts}
    spilled = read(json.dumps(value).encode(), step)
    assert isinstance(spilled.json, dict)
    tokens = spilled.json.pop("data")
    assert isinstance(tokens, list)
    assert spilled.json == {"texts": texts, "more": texts}
    assert [spilled.files[str(token)].read_bytes() for token in tokens] == long


@law(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.binary(max_size=200) | st.text('{}[]",:\\u01ab\n').map(str.encode), step=st.integers(1, 20))
def test_no_other_bytes_do_anything_but_fail_or_parse(read: Read, body: bytes, step: int) -> None:
    try:
        expected = json.loads(body)
    except (ValueError, RecursionError):
        with pytest.raises((ValueError, RecursionError)):
            read(body, step)
    else:
        # NaN and its like are no JSON, and are read as null.
        assert read(body, step).json == expected or b"N" in body or b"I" in body or b"e" in body.lower()


def test_memory_does_not_grow_with_a_picture(scratch: Callable[[], Path]) -> None:
    piece = base64.b64encode(NOISE[:49_152])

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"data": [{"b64_json": "'
        for _ in range(64 * MIB // len(piece)):
            yield piece
        yield b'"}]}'

    tracemalloc.start()
    try:
        spilled = asyncio.run(read_spilled(chunks(), scratch, limit=2**30))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    [file] = spilled.files.values()
    assert file.stat().st_size == 64 * MIB // len(piece) * 49_152
    assert peak < 2 * MIB


@pytest.mark.parametrize("fault", ["!", "\\\\", "\\u0041", '\\"', "é", "=A"])
def test_broken_base64_gives_a_cut_picture(read: Read, fault: str) -> None:
    encoded = base64.b64encode(NOISE).decode()
    assert picture(read(answer(encoded[:100_000] + fault + encoded[100_000:]))) == NOISE[:75_000]


def test_a_long_text_is_cut_and_stays_a_text(read: Read) -> None:
    spilled = read(
        json.dumps({"message": "Grüße aus Köln! " * 20_000, "code": 7}, ensure_ascii=False).encode()
    )
    assert isinstance(spilled.json, dict)
    assert (spilled.json["code"], spilled.files) == (7, {})
    text = str(spilled.json["message"])
    assert ("Grüße aus Köln! " * 20_000).startswith(text)
    assert LONG // 2 < len(text) <= LONG + 4096


@pytest.mark.parametrize(
    "body",
    [b"", b'{"data": "abc', b'{"a": "\\', b'{"a": "\\u00zz"}', b'{"a": 1', b"<html>", b'{"a": "b"}}'],
)
def test_what_is_no_json_is_refused(read: Read, body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own words
        read(body)


def test_a_cut_picture_leaves_no_file(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="within a string"):
        read(answer(base64.b64encode(NOISE))[:100_000])
    assert list(tmp_path.iterdir()) == []


def test_a_body_beyond_the_limit_is_refused_and_leaves_no_file(read: Read, tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match=r"0\.09"):
        read(answer(base64.b64encode(NOISE)), limit=100_000)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_picture_has_a_limit_of_its_own(read: Read) -> None:
    with pytest.raises(TooLargeError, match="4 MiB"):
        read(b"[" + b'"short",' * (SKELETON_LIMIT // 8) + b"1]", step=MIB)


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "file"

    async def scene() -> None:
        await read_spilled(_pieces(answer(base64.b64encode(NOISE)), 4096), lambda: missing, limit=2**30)

    with pytest.raises(StorageError, match="missing/file"):
        asyncio.run(scene())


@pytest.mark.parametrize("writing", ["plain", "url-safe", "without padding", "data url"])
def test_a_short_picture_is_decoded_by_hand(scratch: Callable[[], Path], writing: str) -> None:
    text = WRITINGS[writing](b"\xfb\xef\xbe short").decode()
    assert image_of(text, Spilled(None), scratch).path.read_bytes() == b"\xfb\xef\xbe short"


@given(text=st.text())
@law(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_becomes_a_file(scratch: Callable[[], Path], text: str) -> None:
    assert image_of(text, Spilled(None), scratch).path.exists()


def test_a_token_is_its_file(scratch: Callable[[], Path], read: Read) -> None:
    spilled = read(answer(base64.b64encode(NOISE)))
    [(token, path)] = spilled.files.items()
    assert image_of(token, spilled, scratch).path == path


# Through the API client


async def send(settings: ProviderSettings) -> Spilled:
    client = ApiClient(settings, api_base(settings), bearer(settings), tls_context())
    try:
        return await client.send_spilled(Call("POST", "/images", {}), Phase.SUBMIT)
    finally:
        await client.aclose()


def sent(settings: Callable[..., ProviderSettings], reply: bytes, **changes: object) -> Spilled:
    async def scene() -> Spilled:
        async with serving(reply) as server:
            return await send(settings(server.url, **changes))

    return asyncio.run(scene())


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_pictures_come_through_the_client(settings: Callable[..., ProviderSettings], encoding: str) -> None:
    body = answer(base64.b64encode(NOISE))
    body = gzip.compress(body) if encoding == "gzip" else body
    assert picture(sent(settings, http(200, body, Content_Encoding=encoding))) == NOISE


BODY = answer(base64.b64encode(NOISE))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (http(200, BODY[:90_000], length=len(BODY)) + CLOSE, K.AMBIGUOUS),
        (http(200, BODY[:90_000], length=len(BODY)) + RESET, K.AMBIGUOUS),
        (http(200, BODY[:90_000], length=len(BODY)) + HANG, K.AMBIGUOUS),
        (http(200, BODY[:90_000]), K.AMBIGUOUS),
        (http(200, gzip.compress(BODY)[:200], Content_Encoding="gzip"), K.AMBIGUOUS),
        (http(200, BODY, Content_Encoding="br"), K.AMBIGUOUS),
        (http(200, b"[" * 100_000), K.AMBIGUOUS),
        (http(429, b'{"error": "slow down"}', Retry_After_ms="1500"), K.RATE_LIMITED),
        (http(400, BODY), K.INVALID),
        (CLOSE, K.AMBIGUOUS),
    ],
)
def test_what_breaks_has_its_kind_and_leaves_nothing(
    settings: Callable[..., ProviderSettings], tmp_path: Path, reply: bytes, kind: K
) -> None:
    with pytest.raises(ProviderFailure) as caught:
        sent(settings, reply, timeout=1.0 if reply.endswith(HANG) else 20.0)
    assert caught.value.kind is kind
    assert caught.value.retry_after == (1.5 if kind is K.RATE_LIMITED else None)
    assert list(tmp_path.iterdir()) == []


def test_a_compressed_bomb_neither_fills_memory_nor_is_believed(
    settings: Callable[..., ProviderSettings],
) -> None:
    bomb = gzip.compress(b'{"x": [' + b"[]," * (100 * MIB // 3))
    tracemalloc.start()
    try:
        with pytest.raises(ProviderFailure, match="too large") as caught:
            sent(settings, http(200, bomb, Content_Encoding="gzip"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.kind is K.AMBIGUOUS
    assert peak < 30 * MIB
    assert transport.SPILLED_LIMIT > 100 * MIB
