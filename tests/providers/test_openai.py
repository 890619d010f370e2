"""OpenAI's dialect: the tables, what is sent, what every kind of answer means, and how requests are paced."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_server import CANARY, Received, answer, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.core.plan.cost import estimate
from imgbuild.core.plan.grid import fits
from imgbuild.providers.base import FileResult, Finished, ProviderSettings, ReferenceFile, Request, UrlResult
from imgbuild.providers.openai import TYPE, OpenaiDialect

Settings = Callable[..., ProviderSettings]
DIALECT = OpenaiDialect()
ON_GRID = ["gpt-image-2"] + [f"gpt-image-2.{n}-{name}" for n in (5, 6) for name in ("sunburst", "flare")]
OF_THREE_SIZES = ["gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest"]


def capabilities(model: str) -> Capabilities:
    found = TYPE.capabilities(model)
    assert isinstance(found, Capabilities)
    return found


def parse(value: Json) -> Finished | ProviderFailure:
    """The dialect's verdict; the file of a base64 text is named by it."""
    return DIALECT.parse(value, lambda text: FileResult(Path(text[:40])))


# The models


def test_the_models_are_those_that_are_live() -> None:
    assert list(TYPE.known_models()) == ON_GRID + OF_THREE_SIZES


def test_a_model_must_be_named_and_may_be_any() -> None:
    assert TYPE.capabilities(None) == UnknownModel(None, TYPE.known_models())
    found = capabilities("sd-turbo")
    assert (found.model, found.qualities, found.formats, found.params) == ("sd-turbo", None, None, None)
    assert (found.max_n, found.mask, found.prices) == (1, True, ())
    assert found.grid is not None
    assert fits(Size(512, 512), found.grid)
    assert fits(Size(1792, 1024), found.grid)


@pytest.mark.parametrize("model", [*ON_GRID, "gpt-image-2-2026-04-21", "gpt-image-2.5-flare-2026-09-08"])
def test_the_grid_is_the_documented_one(model: str) -> None:
    found = capabilities(model)
    assert found.grid is not None
    assert (found.sizes, found.ratios, found.auto_size, found.max_n) == ((), (), True, 10)
    for size, allowed in {
        (1536, 864): True,
        (3840, 2160): True,
        (3840, 1280): True,
        (1024, 640): True,
        (1920, 1080): False,
        (1792, 936): False,
        (1024, 624): False,
        (3840, 2176): False,
        (3856, 1296): False,
        (3072, 1008): False,
    }.items():
        assert fits(Size(*size), found.grid) is allowed, size


@pytest.mark.parametrize("model", OF_THREE_SIZES)
def test_the_other_models_have_three_sizes(model: str) -> None:
    found = capabilities(model)
    assert [str(option.size) for option in found.sizes] == ["1024x1024", "1536x1024", "1024x1536"]
    assert (found.grid, found.auto_size) == (None, True)


def test_the_two_best_qualities_belong_to_the_newer_models() -> None:
    plain = ("auto", "low", "medium", "high")
    for model in [*ON_GRID, *OF_THREE_SIZES]:
        more = ("xhigh", "max") if "-2.5-" in model or "-2.6-" in model else ()
        assert capabilities(model).qualities == (*plain, *more)


def test_params_are_allowed_by_model() -> None:
    common = {"complexity", "moderation", "output_compression", "safety_identifier", "user"}
    for model in [*ON_GRID, *OF_THREE_SIZES]:
        more = {"input_fidelity"} if model in ("gpt-image-1.5", "gpt-image-1-mini") else set()
        assert set(capabilities(model).params or ()) == common | more
        assert "stream" in capabilities(model).own_params


@pytest.mark.parametrize(
    ("model", "quality", "size", "price"),
    [
        ("gpt-image-2", "low", "1024x1024", 0.006),
        ("gpt-image-2", "low", "1536x1024", 0.005),
        ("gpt-image-2", "medium", "1024x1024", 0.053),
        ("gpt-image-2", "medium", "1024x1536", 0.041),
        ("gpt-image-2", "high", "1024x1024", 0.211),
        ("gpt-image-2", "high", "1536x1024", 0.165),
        ("gpt-image-2-2026-04-21", "high", "1024x1024", 0.211),
        ("gpt-image-2", "high", "2048x2048", 0.211),
        ("gpt-image-2", "low", None, 0.006),
        ("gpt-image-2", None, "1024x1024", 0.211),
        ("gpt-image-1-mini", "low", "1024x1024", 0.005),
        ("gpt-image-1-mini", "low", "1536x1024", 0.006),
        ("gpt-image-1-mini", "medium", "1024x1024", 0.011),
        ("gpt-image-1-mini", "high", "1024x1536", 0.052),
        ("gpt-image-2.5-flare", "low", "1024x1024", None),
        ("sd-turbo", "low", "1024x1024", None),
    ],
)
def test_prices_are_the_published_ones(
    model: str, quality: str | None, size: str | None, price: float | None
) -> None:
    asked = Size(*map(int, size.split("x"))) if size else None
    found = capabilities(model)
    assert estimate(None, found, quality=quality, tier=None, size=asked) == price
    assert all(each.as_of for each in found.prices)


# What is sent


def reference(
    tmp_path: Path, name: str = "r", size: int = 10, media_type: str = "image/png"
) -> ReferenceFile:
    path = tmp_path / f"secret-{name}"
    with path.open("wb") as file:
        file.truncate(size)
    return ReferenceFile(path, sha256(path.read_bytes()).hexdigest(), media_type)


def test_a_request_says_what_is_declared_and_nothing_else() -> None:
    call = DIALECT.submit_call(Request("a cat", "gpt-image-2"))
    assert (call.method, call.path, call.files) == ("POST", "/images/generations", ())
    assert call.body == {"model": "gpt-image-2", "prompt": "a cat"}


def test_every_field_has_its_name() -> None:
    request = Request(
        "a cat",
        "gpt-image-2",
        size=Size(1536, 864),
        quality="high",
        background="transparent",
        format="webp",
        n=3,
        params={"output_compression": 80, "moderation": "low"},
    )
    assert DIALECT.submit_call(request).body == {
        "model": "gpt-image-2",
        "prompt": "a cat",
        "n": 3,
        "size": "1536x864",
        "quality": "high",
        "background": "transparent",
        "output_format": "webp",
        "output_compression": 80,
        "moderation": "low",
    }


def test_the_ratio_auto_is_a_size() -> None:
    body = DIALECT.submit_call(Request("a cat", "gpt-image-2", ratio="auto")).body
    assert body is not None
    assert body["size"] == "auto"


def test_references_and_mask_are_uploaded_without_their_names(tmp_path: Path) -> None:
    references = (reference(tmp_path), reference(tmp_path, "s", media_type="image/webp"))
    call = DIALECT.submit_call(Request("a cat", "m", references=references, mask=reference(tmp_path, "m")))
    assert (call.path, call.body) == ("/images/edits", {"model": "m", "prompt": "a cat"})
    assert [(part.field, part.name, part.media_type) for part in call.files] == [
        ("image[]", "reference-1.png", "image/png"),
        ("image[]", "reference-2.webp", "image/webp"),
        ("mask", "mask.png", "image/png"),
    ]


def test_a_file_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(ProviderFailure, match="less than 50 MB") as caught:
        DIALECT.submit_call(Request("a", "m", references=(reference(tmp_path, size=50 * 10**6),)))
    assert caught.value.kind is K.INVALID
    DIALECT.submit_call(Request("a", "m", references=(reference(tmp_path, size=50 * 10**6 - 1),)))
    masked = Request("a", "m", references=(reference(tmp_path),), mask=reference(tmp_path, "m", 5 * 10**6))
    with pytest.raises(ProviderFailure, match="less than 4 MB"):
        DIALECT.submit_call(masked)


def test_a_file_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    gone = ReferenceFile(tmp_path / "gone", "0" * 64, "image/png")
    with pytest.raises(ProviderFailure, match="reference-1") as caught:
        DIALECT.submit_call(Request("a", "m", references=(gone,)))
    assert str(tmp_path) not in str(caught.value)


# What answers mean


def test_pictures_come_in_their_order_with_their_usage() -> None:
    data: Json = [{"b64_json": "AAAA"}, {"url": "https://x/1.png"}, {"b64_json": "https://x/2.png"}]
    assert parse({"created": 1, "data": data, "usage": {"total_tokens": 9}}) == Finished(
        (FileResult(Path("AAAA")), UrlResult("https://x/1.png"), UrlResult("https://x/2.png")),
        usage={"total_tokens": 9},
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"data": []}, K.UNUSABLE),
        ({"data": [{"b64_json": ""}, {"url": None}, 7]}, K.UNUSABLE),
        ({}, K.AMBIGUOUS),
        (None, K.AMBIGUOUS),
        ([], K.AMBIGUOUS),
        ({"data": {"b64_json": "AAAA"}}, K.AMBIGUOUS),
        ({"error": {"message": "no channel", "code": "none"}}, K.INVALID),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, K.CREDIT),
        ({"data": [], "error": {"message": "rejected by the safety system"}}, K.REFUSED),
        ({"message": "please slow down: rate limit"}, K.RATE_LIMITED),
    ],
)
def test_answers_without_pictures(value: Json, kind: K) -> None:
    outcome = parse(value)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is kind


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "error", "message", "code", "b64_json", "url", "usage", "msg"]), inner
        )
    ),
)


@given(ANY_JSON)
def test_any_json_is_a_result_or_a_failure(value: Json) -> None:
    assert isinstance(parse(value), Finished | ProviderFailure)


# The client, against a server that says exactly this


def run(settings: ProviderSettings, request: Request, times: int = 1) -> list[Finished]:
    async def scene() -> list[Finished]:
        provider = TYPE.connect(settings)
        try:
            return [await submitted(provider.submit(request)) for _ in range(times)]
        finally:
            await provider.aclose()

    async def submitted(answer: Any) -> Finished:
        finished = await answer
        assert isinstance(finished, Finished)
        return finished

    return asyncio.run(scene())


def served(settings: Settings, script: Callable[[Received], bytes] | bytes, times: int = 1) -> list[Finished]:
    async def scene() -> list[Finished]:
        async with serving(script) as server:
            url = f"{server.url}/v1/"
            return await asyncio.to_thread(run, settings(url), Request("a cat", "gpt-image-2"), times)

    return asyncio.run(scene())


def error(status: int, message: str, code: str | None, type: str = "invalid_request_error") -> bytes:
    return answer({"error": {"message": message, "type": type, "param": None, "code": code}}, status)


REFUSAL = (
    "Your request was rejected by the safety system. If you believe this is an error, contact us at "
    "help.openai.com and include the request ID req_1. safety_violations=[sexual]."
)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(400, REFUSAL, "moderation_blocked", "image_generation_user_error"), K.REFUSED),
        (error(400, "Blocked.", "moderation_blocked", "image_generation_user_error"), K.REFUSED),
        (error(400, "Blocked.", "content_policy_violation"), K.REFUSED),
        (error(400, "Blocked.", "contentFilter"), K.REFUSED),
        (error(400, "Invalid size '1792x936'.", "invalid_value", "image_generation_user_error"), K.INVALID),
        (error(400, "Unknown parameter: 'moderation'.", "unknown_parameter"), K.INVALID),
        (error(400, "Billing hard limit has been reached", "billing_hard_limit_reached"), K.CREDIT),
        (
            error(429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
            K.CREDIT,
        ),
        (error(429, "Rate limit reached for images per minute.", "rate_limit_exceeded"), K.RATE_LIMITED),
        (error(401, "Incorrect API key provided.", "invalid_api_key"), K.AUTH),
        (error(403, "Your organization must be verified.", None), K.AUTH),
        (error(404, "The model 'x' does not exist.", "model_not_found"), K.INVALID),
        (error(500, "The server had an error.", None, "server_error"), K.AMBIGUOUS),
        (error(503, "Overloaded.", None, "server_error"), K.RATE_LIMITED),
        (error(200, "No channel.", "channel_error"), K.INVALID),
    ],
)
def test_errors_have_their_kind_and_their_words(settings: Settings, reply: bytes, kind: K) -> None:
    with pytest.raises(ProviderFailure) as caught:
        served(settings, reply)
    assert caught.value.kind is kind
    message = json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert message in caught.value.message
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "5"}, 5.0),
        ({"Retry_After": "5", "Retry_After_ms": "250"}, 0.25),
        ({"Retry_After_ms": "-1", "Retry_After": "2"}, 2.0),
        ({"Retry_After_ms": "9999999999"}, 300.0),
        ({"Retry_After_ms": "nan"}, None),
        ({}, None),
    ],
)
def test_patience_is_asked_for_in_two_ways(
    settings: Settings, headers: dict[str, str], seconds: float | None
) -> None:
    with pytest.raises(ProviderFailure) as caught:
        served(settings, answer({"error": "busy"}, 429, **headers))
    assert caught.value.retry_after == seconds


def test_long_and_short_pictures_and_links_become_results(settings: Settings) -> None:
    long, short = bytes(range(256)) * 1000, b"short"
    data = [
        {"b64_json": base64.b64encode(long).decode()},
        {"url": "data:image/png;base64," + base64.b64encode(long).decode()},
        {"b64_json": base64.b64encode(short).decode()},
        {"url": "/files/1.png"},
    ]
    script = answer({"data": data, "usage": {"note": f"key {CANARY}"}})
    [finished] = served(settings, script)
    *files, link = finished.results
    assert [file.path.read_bytes() for file in files if isinstance(file, FileResult)] == [long, long, short]
    assert isinstance(link, UrlResult)
    assert link.url.startswith("http://127.0.0.1:")
    assert link.url.endswith("/files/1.png")
    assert finished.usage == {"note": "key [redacted]"}


def test_files_that_nobody_needs_are_removed(settings: Settings, tmp_path: Path) -> None:
    long = base64.b64encode(bytes(100_000)).decode()
    with pytest.raises(ProviderFailure):
        served(settings, answer({"error": {"message": "no"}, "debug": long}))
    assert list(tmp_path.iterdir()) == []
    [finished] = served(settings, answer({"data": [{"b64_json": long}], "thumbnail": long}))
    [kept] = finished.results
    assert isinstance(kept, FileResult)
    assert list(tmp_path.iterdir()) == [kept.path]


def test_a_service_that_has_no_room_is_asked_later(settings: Settings) -> None:
    """Clocks only bound this from below: the second request is not seen before the window ends."""
    seen: list[float] = []

    def script(_: Received) -> bytes:
        seen.append(time.monotonic())
        limits = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "300ms"}
        return answer({"data": [{"b64_json": "AAAA"}]}, **limits)

    served(settings, script, times=2)
    assert seen[1] - seen[0] >= 0.25


def test_there_are_no_tasks(settings: Settings) -> None:
    async def scene() -> None:
        provider = TYPE.connect(settings("https://images.example/v1"))
        try:
            with pytest.raises(ProviderFailure):
                await provider.poll("task")
        finally:
            await provider.aclose()

    asyncio.run(scene())
