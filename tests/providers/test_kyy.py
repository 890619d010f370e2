"""KYY's dialect: the documented tables, what is sent on each route, and what every answer means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_server import CANARY, Received, answer, http, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.base import (
    Finished,
    Pending,
    Provider,
    ProviderSettings,
    ReferenceFile,
    Request,
    UrlResult,
)
from imgbuild.providers.kyy import TYPE, KyyDialect

DIALECT = KyyDialect()
URL = "https://example.com/result.png"
ID = "image_fd35ee52-2a98-44a6-b930-29a88ce9b8fd"
SUBMITTED: dict[str, Json] = {
    "id": ID,
    "object": "image",
    "created": 1774836724,
    "model": "gpt-image-2",
    "status": "queued",
    "error": None,
}
DONE: dict[str, Json] = {
    **SUBMITTED,
    "object": "image.generation",
    "status": "completed",
    "image_url": URL,
}
SIZES = ["1024x1024", "1536x1024", "1024x1536", "2048x2048", "2048x1152", "3840x2160", "2160x3840"]
RATIOS = ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "5:4", "4:5", "2:1", "1:2", "21:9", "9:21"]
BANANA = {
    "nano-banana": ["1k"],
    "nano-banana-2": ["1k"],
    "nano-banana-pro": ["1k", "2k", "4k"],
    "nano-banana-2-stable": ["1k"],
    "nano-banana-pro-stable": ["1k", "2k", "4k"],
}


def capabilities(model: str) -> Capabilities:
    found = TYPE.capabilities(model)
    assert isinstance(found, Capabilities)
    return found


# The models


def test_the_models() -> None:
    assert TYPE.known_models() == ("gpt-image-2", "gpt-image-2-r", *BANANA)


@pytest.mark.parametrize("model", [None, "", "gpt-image-1", "nano-banana-3"])
def test_any_other_model_is_unknown(model: str | None) -> None:
    assert TYPE.capabilities(model) == UnknownModel(model, TYPE.known_models())


def test_gpt_image_2_has_seven_sizes_and_thirteen_ratios_at_three_resolutions() -> None:
    found = capabilities("gpt-image-2")
    assert [str(option.size) for option in found.sizes] == SIZES
    assert [option.tier for option in found.sizes] == ["1k", "1k", "1k", "2k", "2k", "4k", "4k"]
    assert [(o.ratio, o.resolution) for o in found.ratios] == [
        (ratio, tier) for tier in ("1k", "2k", "4k") for ratio in RATIOS
    ]
    assert (found.default_ratio, found.default_size) == ("1:1", None)
    assert (found.qualities, found.default_quality) == (("low", "medium", "high"), "low")
    assert found.references.max_count == 6


def test_gpt_image_2_r_ends_at_1k_takes_more_references_and_no_quality() -> None:
    found = capabilities("gpt-image-2-r")
    assert [str(option.size) for option in found.sizes] == SIZES[:3]
    assert {option.resolution for option in found.ratios} == {"1k"}
    assert (found.qualities, found.references.max_count) == ((), 16)


@pytest.mark.parametrize("model", BANANA)
def test_the_banana_models_have_ratios_only(model: str) -> None:
    found = capabilities(model)
    assert list(dict.fromkeys(option.resolution for option in found.ratios)) == BANANA[model]
    assert len(found.ratios) == 10 * len(BANANA[model])
    assert (found.sizes, found.qualities, found.references.max_count) == ((), (), 6)


@pytest.mark.parametrize("model", TYPE.known_models())
def test_nothing_that_no_document_offers(model: str) -> None:
    found = capabilities(model)
    assert not any((found.seed, found.negative_prompt, found.mask, found.backgrounds, found.formats))
    assert (found.prices, found.max_n, found.references.files) == ((), 1, False)
    for option in (*found.sizes, *found.ratios):
        width, height = map(int, option.ratio.split(":"))
        assert option.size is not None
        assert option.size.width / option.size.height == pytest.approx(width / height, rel=0.03)


# What is sent


def reference(url: str | None) -> ReferenceFile:
    return ReferenceFile(Path("in.png"), "0" * 64, "image/png", url)


@pytest.mark.parametrize(
    ("request_", "route", "body"),
    [
        (Request("P", "gpt-image-2"), "image2", {}),
        (
            Request("P", "gpt-image-2", ratio="16:9", resolution="2k", quality="high"),
            "image2",
            {"ratio": "16:9", "resolution": "2k", "quality": "high"},
        ),
        (Request("P", "gpt-image-2", size=Size(2048, 1152)), "image2", {"size": "2048x1152"}),
        (Request("P", "gpt-image-2-r", ratio="3:2"), "image2", {"ratio": "3:2"}),
        (
            Request("P", "gpt-image-2", resolution="4k"),
            "image2",
            {"ratio": "1:1", "resolution": "4k"},
        ),
        (
            Request("P", "gpt-image-2", params={"style": "flat"}, references=(reference("https://e.com/a"),)),
            "image2",
            {"style": "flat", "image_urls": ["https://e.com/a"]},
        ),
        (Request("P", "nano-banana"), "banana", {}),
        (
            Request("P", "nano-banana-pro", ratio="16:9", resolution="4k"),
            "banana",
            {"size": "16:9", "resolution": "4k"},
        ),
        (Request("P", "nano-banana-pro-stable", resolution="2k"), "banana", {"resolution": "2k"}),
        (
            Request(
                "P", "nano-banana-2", references=(reference("https://e.com/a"), reference("https://e.com/b"))
            ),
            "banana",
            {"image_urls": ["https://e.com/a", "https://e.com/b"]},
        ),
    ],
)
def test_the_body(request_: Request, route: str, body: dict[str, Json]) -> None:
    call = DIALECT.submit_call(request_)
    assert (call.method, call.path, call.files) == ("POST", f"/v1/{route}/images", ())
    assert call.body == {"model": request_.model, "prompt": "P", **body}


def test_a_size_never_stands_beside_a_ratio_or_a_resolution() -> None:
    request = Request("P", "gpt-image-2", size=Size(1024, 1024), ratio="16:9", resolution="2k")
    body = DIALECT.submit_call(request).body
    assert body is not None
    assert set(body) == {"model", "prompt", "size"}


def test_a_local_file_is_refused() -> None:
    with pytest.raises(ProviderFailure, match="URLs only") as caught:
        DIALECT.submit_call(Request("P", "gpt-image-2", references=(reference(None),)))
    assert caught.value.kind is K.INVALID


# What answers mean


def test_the_documents_own_answers() -> None:
    assert DIALECT.parse(SUBMITTED, None) == Pending(ID, "queued")
    assert DIALECT.parse({**SUBMITTED, "status": "processing"}, ID) == Pending(ID, "processing")
    assert DIALECT.parse(DONE, ID) == Finished((UrlResult(URL),), ID)
    assert DIALECT.parse(DONE, None) == Finished((UrlResult(URL),), ID)


@pytest.mark.parametrize("members", [{"image_url": [URL]}, {"image_url": None, "image_urls": [URL]}])
def test_lists_of_results(members: dict[str, Json]) -> None:
    assert DIALECT.parse({**DONE, **members}, ID) == Finished((UrlResult(URL),), ID)


@pytest.mark.parametrize("url", [None, "", 7, [], {}])
def test_finished_without_a_picture_is_unusable(url: Json) -> None:
    outcome = DIALECT.parse({**DONE, "image_url": url}, ID)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is K.UNUSABLE


@pytest.mark.parametrize("status", ["polishing", "", None, 7])
def test_an_unknown_status_is_still_running_with_a_warning(status: Json) -> None:
    outcome = DIALECT.parse({**DONE, "status": status}, None)
    assert isinstance(outcome, Pending)
    assert outcome.warning


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("upstream gave up", K.FAILED, "upstream gave up"),
        ({"message": "upstream gave up", "code": "upstream_error"}, K.FAILED, "upstream_error"),
        ({"code": "content_policy_violation", "message": "no"}, K.REFUSED, "no"),
        ("flagged by moderation", K.REFUSED, "flagged"),
        (None, K.FAILED, "failed"),
    ],
)
@pytest.mark.parametrize("asked", [None, ID])
def test_a_failed_task(error: Json, kind: K, words: str, asked: str | None) -> None:
    outcome = DIALECT.parse({**DONE, "status": "failed", "image_url": None, "error": error}, asked)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is kind
    assert words in outcome.message


@pytest.mark.parametrize("task_id", ["../../x", "a/b", "..", "a b", "x\n", [], {}, True, 2**70])
def test_a_hostile_task_id_may_have_been_charged(task_id: Json) -> None:
    outcome = DIALECT.parse({**SUBMITTED, "id": task_id}, None)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is K.AMBIGUOUS


@pytest.mark.parametrize("body", [None, [], "ok", 7, {}, {"object": "image"}, {"error": None}])
def test_an_accepted_submission_that_says_nothing_may_have_been_charged(body: Json) -> None:
    submitted, polled = DIALECT.parse(body, None), DIALECT.parse(body, ID)
    assert isinstance(submitted, ProviderFailure)
    assert submitted.kind is K.AMBIGUOUS
    assert isinstance(polled, ProviderFailure)
    assert polled.kind is K.TRANSIENT


@pytest.mark.parametrize(
    ("body", "submit", "poll"),
    [
        ({"error": "bad size"}, K.INVALID, K.UNUSABLE),
        ({"error": {"message": "bad", "type": "t", "code": "c"}}, K.INVALID, K.UNUSABLE),
        ({"error": {"message": "no", "code": "moderation_blocked"}}, K.REFUSED, K.REFUSED),
        ({"error": "Insufficient balance"}, K.CREDIT, K.CREDIT),
        ({"code": 401, "msg": "Invalid API key"}, K.AUTH, K.AUTH),
        ({"message": "Too many requests"}, K.RATE_LIMITED, K.RATE_LIMITED),
    ],
)
def test_an_error_under_http_200(body: Json, submit: K, poll: K) -> None:
    for asked, kind in ((None, submit), (ID, poll)):
        outcome = DIALECT.parse(body, asked)
        assert isinstance(outcome, ProviderFailure)
        assert outcome.kind is kind


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
task_objects = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["t", "../x", 7]) | json_values,
        "status": st.sampled_from(["queued", "completed", "failed", "odd"]) | json_values,
        "image_url": json_values,
        "error": json_values,
        "code": json_values,
        "usage": json_values,
    },
)


@given(json_values | task_objects, st.sampled_from([None, ID]))
def test_any_json_has_one_of_three_meanings(body: Any, asked: str | None) -> None:
    outcome = DIALECT.parse(body, asked)
    assert isinstance(outcome, Pending | Finished | ProviderFailure)
    if isinstance(outcome, Pending):
        assert outcome.task_id
        assert asked in (None, outcome.task_id)
    if isinstance(outcome, Finished):
        assert outcome.results
    if isinstance(outcome, ProviderFailure):
        assert outcome.kind is not (K.AMBIGUOUS if asked else K.TRANSIENT)


# Over the wire


@pytest.mark.parametrize("base", ["/kyyReactApiServer", "/kyyReactApiServer/", ""])
def test_submit_poll_download(settings: Callable[..., ProviderSettings], tmp_path: Path, base: str) -> None:
    polls = iter(["queued", "processing", "completed"])

    def script(request: Received) -> bytes:
        if request.path == "/files/1.png":
            return http(200, b"pixels")
        assert request.headers["authorization"] == f"Bearer {CANARY}"
        if request.method == "POST":
            assert request.path == base.rstrip("/") + "/v1/banana/images"
            return answer(SUBMITTED)
        assert request.path == f"{base.rstrip('/')}/v1/result/{ID}"
        url = f"http://{request.headers['host']}/files/1.png"
        return answer({**DONE, "status": next(polls), "image_url": url})

    async def scene() -> None:
        async with serving(script) as server:
            provider: Provider = TYPE.connect(settings(server.url + base, type="kyy"))
            try:
                state = await provider.submit(Request("P", "nano-banana"))
                for _ in range(3):
                    assert isinstance(state, Pending)
                    state = await provider.poll(state.task_id)
                assert state == Finished((UrlResult(f"{server.url}/files/1.png"),), ID)
                await provider.download(f"{server.url}/files/1.png", tmp_path / "r")
                assert "authorization" not in server.received[-1].headers
            finally:
                await provider.aclose()

    asyncio.run(scene())
    assert (tmp_path / "r").read_bytes() == b"pixels"


def test_it_has_a_public_address_with_a_path_and_needs_a_key() -> None:
    assert TYPE.default_base_url == "https://zcbservice.aizfw.cn/kyyReactApiServer"
    assert TYPE.needs_key
