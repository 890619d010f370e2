"""UniAll's dialect: the documented tables, what is sent, and what every kind of answer means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_server import CANARY, Received, answer, http, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure, UsageError
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
from imgbuild.providers.uniall import TYPE, UniallDialect

DIALECT = UniallDialect()
URL = "https://example.com/result.png"
DONE: dict[str, Json] = {
    "task_id": "task_xxx",
    "status": "succeeded",
    "progress": "100%",
    "result_url": URL,
    "metadata": {"task_type": "text2image", "result_count": 1},
    "error": None,
}
FAMILIES = {
    "NanoBanana": ["1k"],
    "NanoBanana2": ["0.5k", "1k", "2k", "4k"],
    "NanoBananaPro": ["1k", "2k", "4k", "8k"],
}


def capabilities(model: str) -> Capabilities:
    found = TYPE.capabilities(model)
    assert isinstance(found, Capabilities)
    return found


def enveloped(data: Json, code: Json = "success", message: str = "") -> Json:
    return {"code": code, "message": message, "data": data}


# The models


def test_the_models_are_those_of_the_documentation() -> None:
    nano = ["NanoBanana"] + [
        f"{family}-{tier.upper()}" for family in ("NanoBanana2", "NanoBananaPro") for tier in FAMILIES[family]
    ]
    assert list(TYPE.known_models()) == [*nano, "gpt-image-2"]


@pytest.mark.parametrize("model", [None, "", "nanobanana", "gpt-image-1"])
def test_any_other_model_is_unknown(model: str | None) -> None:
    assert TYPE.capabilities(model) == UnknownModel(model, TYPE.known_models())


@pytest.mark.parametrize("model", [m for m in TYPE.known_models() if m != "gpt-image-2"])
def test_a_nano_model_has_ten_ratios_and_its_resolution_in_the_name(model: str) -> None:
    found = capabilities(model)
    assert [option.ratio for option in found.ratios] == [
        "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"
    ]  # fmt: skip
    assert found.formats == (("png", "jpeg", "webp") if model == "NanoBanana" else ("png", "jpeg"))
    assert (found.sizes, found.qualities, found.max_n) == ((), (), 1)
    (tier,) = found.resolutions_in_model
    assert model == "NanoBanana" or model.endswith(f"-{tier.upper()}")
    for option in found.ratios:
        width, height = map(int, option.ratio.split(":"))
        assert option.size.width / option.size.height == pytest.approx(width / height, rel=0.04)
        assert option.size.pixels == pytest.approx((1024 * float(tier[:-1])) ** 2, rel=0.06)


def test_gpt_image_2_has_48_sizes_with_the_services_own_tiers() -> None:
    found = capabilities("gpt-image-2")
    sizes = {str(option.size): option for option in found.sizes}
    assert len(sizes) == len(found.sizes) == 48
    assert [sum(o.tier == tier for o in found.sizes) for tier in ("1k", "2k", "4k")] == [17, 19, 12]
    assert (sizes["2048x2048"].tier, sizes["2560x2048"].tier) == ("4k", "2k")
    assert (sizes["1344x1024"].ratio, sizes["3840x1648"].ratio) == ("4:3", "21:9")
    assert "1920x1080" in sizes
    assert {f"{o.size.height}x{o.size.width}" for o in found.sizes} == set(sizes)
    for option in found.sizes:
        width, height = map(int, option.ratio.split(":"))
        assert option.size.width / option.size.height == pytest.approx(width / height, rel=0.02)


def test_gpt_image_2_takes_what_its_tables_say() -> None:
    found = capabilities("gpt-image-2")
    assert (found.qualities, found.default_quality) == (("low", "medium", "high"), "medium")
    assert (found.default_size, found.max_n) == (Size(1024, 1024), 8)
    assert found.formats == ("png", "jpeg", "webp")
    assert found.ratios == ()


@pytest.mark.parametrize("model", TYPE.known_models())
def test_nothing_that_the_documentation_does_not_offer(model: str) -> None:
    found = capabilities(model)
    assert not any((found.seed, found.negative_prompt, found.mask, found.backgrounds, found.prices))
    assert found.references.files


# What is sent


def reference(url: str | None, name: str = "in.png") -> ReferenceFile:
    return ReferenceFile(Path(name), "0" * 64, "image/png", url)


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (
            Request("A cube", "NanoBanana2-0.5K", ratio="1:1", format="png"),
            {
                "model": "NanoBanana2-0.5K",
                "task_type": "text2image",
                "prompt": "A cube",
                "aspect_ratio": "1:1",
                "output_format": "png",
                "response_format": "url",
            },
        ),
        (
            Request("Render", "NanoBanana2-0.5K", ratio="16:9", references=(reference("https://e.com/a"),)),
            {
                "model": "NanoBanana2-0.5K",
                "task_type": "image2image",
                "prompt": "Render",
                "image": "https://e.com/a",
                "aspect_ratio": "16:9",
                "response_format": "url",
            },
        ),
        (
            Request("A sphere", "gpt-image-2", size=Size(1024, 768), quality="low", format="webp", n=3),
            {
                "model": "gpt-image-2",
                "task_type": "text2image",
                "prompt": "A sphere",
                "size": "1024x768",
                "quality": "low",
                "output_format": "webp",
                "n": 3,
                "response_format": "url",
            },
        ),
        (
            Request(
                "Two", "gpt-image-2", references=(reference("https://e.com/a"), reference("https://e.com/b"))
            ),
            {
                "model": "gpt-image-2",
                "task_type": "image2image",
                "prompt": "Two",
                "size": "1024x1024",
                "images": ["https://e.com/a", "https://e.com/b"],
                "response_format": "url",
            },
        ),
        (
            Request("P", "NanoBanana", params={"style": {"a": 1}, "prompt": "not this"}),
            {
                "model": "NanoBanana",
                "task_type": "text2image",
                "prompt": "P",
                "style": {"a": 1},
                "response_format": "url",
            },
        ),
    ],
)
def test_the_body(request_: Request, body: dict[str, Json]) -> None:
    call = DIALECT.submit_call(request_)
    assert (call.method, call.path, call.files) == ("POST", "/v1/images/tasks", ())
    assert call.body == body


def test_one_local_file_makes_every_reference_a_file() -> None:
    request = Request(
        "P",
        "gpt-image-2",
        references=(reference("https://e.com/a"), ReferenceFile(Path("/home/me/b.jpg"), "1", "image/jpeg")),
    )
    call = DIALECT.submit_call(request)
    assert [(f.field, f.name, f.media_type) for f in call.files] == [
        ("image", "reference-1.png", "image/png"),
        ("image", "reference-2.jpeg", "image/jpeg"),
    ]
    assert call.body is not None
    assert not {"image", "images"} & set(call.body)
    assert call.body["task_type"] == "image2image"


# What answers mean


@pytest.mark.parametrize("wrap", [lambda task: task, enveloped])
@pytest.mark.parametrize("asked", [None, "task_xxx"])
def test_flat_or_enveloped_finished_or_not(wrap: Callable[[Json], Json], asked: str | None) -> None:
    assert DIALECT.parse(wrap(DONE), asked) == Finished((UrlResult(URL),), "task_xxx")
    running: Json = {"task_id": "task_xxx", "status": "processing", "progress": "50%", "error": None}
    assert DIALECT.parse(wrap(running), asked) == Pending("task_xxx", "processing", 0.5)


WORDS = {
    "queued pending submitted NOT_START waiting queuing IN_QUEUE starting created": Pending,
    "processing In_Progress inProgress running generating QUEUED in-progress": Pending,
    "completed succeeded SUCCESS succeed ready finished done Succeeded": Finished,
    "failed FAILURE fail error cancelled canceled aborted expired timeout content_moderated": ProviderFailure,
}


@pytest.mark.parametrize(("word", "meaning"), [(w, m) for words, m in WORDS.items() for w in words.split()])
def test_status_words(word: str, meaning: type) -> None:
    outcome = DIALECT.parse(enveloped({**DONE, "status": word}), "task_xxx")
    assert type(outcome) is meaning
    assert getattr(outcome, "warning", None) is None


@pytest.mark.parametrize("status", ["polishing", "", None, 7, "审核"])
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
        ({"error": {"message": "flagged by moderation"}}, K.REFUSED, "flagged"),
        ("内容违规", K.REFUSED, "内容违规"),
        (None, K.FAILED, "failed"),
        ([], K.FAILED, "failed"),
        (0, K.FAILED, "failed"),
    ],
)
@pytest.mark.parametrize("asked", [None, "task_xxx"])
def test_a_failed_task(error: Json, kind: K, words: str, asked: str | None) -> None:
    outcome = DIALECT.parse(enveloped({"task_id": "task_xxx", "status": "failed", "error": error}), asked)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is kind
    assert words in outcome.message


def test_a_failed_task_may_give_its_reason_as_its_relatives_do() -> None:
    outcome = DIALECT.parse({"task_id": "t", "status": "FAILURE", "fail_reason": "no GPU"}, "t")
    assert isinstance(outcome, ProviderFailure)
    assert "no GPU" in outcome.message


@pytest.mark.parametrize(
    ("members", "urls"),
    [
        ({"metadata": {"result_urls": ["https://a/1", "https://a/2"]}}, ["https://a/1", "https://a/2"]),
        ({"metadata": {"result_urls": []}}, [URL]),
        ({"metadata": {"result_urls": None}}, [URL]),
        ({"metadata": None}, [URL]),
        ({"metadata": {"result_urls": [None, 7, "https://a/1", {"url": "https://a/2"}]}}, ["https://a/1", "https://a/2"]),
        ({"result_url": "/files/1.png"}, ["/files/1.png"]),
    ],
)  # fmt: skip
def test_results(members: dict[str, Json], urls: list[str]) -> None:
    outcome = DIALECT.parse({**DONE, **members}, None)
    assert isinstance(outcome, Finished)
    assert [result.url for result in outcome.results if isinstance(result, UrlResult)] == urls


@pytest.mark.parametrize("url", [None, "", 7, [], {}])
def test_finished_without_a_result_is_unusable(url: Json) -> None:
    outcome = DIALECT.parse({**DONE, "result_url": url}, None)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is K.UNUSABLE


@pytest.mark.parametrize(
    ("progress", "fraction"),
    [
        ("0%", 0.0),
        ("50%", 0.5),
        ("100%", 1.0),
        ("33.5 %", 0.335),
        (50, 0.5),
        (0.25, 0.25),
        ("250%", 1.0),
        ("-5%", None),
        ("٥%", None),
        ("nan", None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_progress(progress: Json, fraction: float | None) -> None:
    outcome = DIALECT.parse({"task_id": "t", "status": "processing", "progress": progress}, None)
    assert isinstance(outcome, Pending)
    assert outcome.progress == fraction


HOSTILE = ["../../x", "a/b", "..", ".", "a..b", "a b", "x\n", "x\x00", "é", "%2e%2e", "?a=1", "a" * 201]


@pytest.mark.parametrize(
    "task_id",
    [*HOSTILE, [], {}, True, 1.5, 2**70],
)
@pytest.mark.parametrize("status", ["queued", "succeeded", "failed"])
def test_a_hostile_task_id_may_have_been_charged(task_id: Json, status: str) -> None:
    outcome = DIALECT.parse({**DONE, "task_id": task_id, "status": status}, None)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is K.AMBIGUOUS


@pytest.mark.parametrize("task_id", ["task_xxx", "a", "A.b:c-d_1", "9" * 200, 12345])
def test_a_harmless_task_id(task_id: Json) -> None:
    outcome = DIALECT.parse({"task_id": task_id, "status": "queued"}, None)
    assert isinstance(outcome, Pending)
    assert outcome.task_id == str(task_id)


@pytest.mark.parametrize(
    "body", [None, [], "ok", 7, {}, {"status": "queued"}, {"code": "success", "data": None}, {"data": {}}]
)
def test_an_accepted_submission_that_says_nothing_may_have_been_charged(body: Json) -> None:
    submitted, polled = DIALECT.parse(body, None), DIALECT.parse(body, "task_xxx")
    assert isinstance(submitted, ProviderFailure)
    assert submitted.kind is K.AMBIGUOUS
    assert isinstance(polled, Pending) or (isinstance(polled, ProviderFailure) and polled.kind is K.TRANSIENT)


@pytest.mark.parametrize(
    ("body", "submit", "poll"),
    [
        ({"code": "invalid_request", "message": "bad size", "data": None}, K.INVALID, K.UNUSABLE),
        ({"code": "task_not_exist", "message": "no such task"}, K.INVALID, K.UNUSABLE),
        ({"code": "insufficient_user_quota", "message": "no", "data": None}, K.CREDIT, K.CREDIT),
        ({"code": "fail", "message": "content policy"}, K.REFUSED, K.REFUSED),
        ({"code": 401, "message": "Unauthorized"}, K.AUTH, K.AUTH),
        ({"code": "x", "message": "Too many requests"}, K.RATE_LIMITED, K.RATE_LIMITED),
        ({"error": {"message": "bad", "type": "t", "param": "", "code": "c"}}, K.INVALID, K.UNUSABLE),
        ({"error": {"message": "no", "code": "moderation_blocked"}}, K.REFUSED, K.REFUSED),
        ({"error": "just words"}, K.INVALID, K.UNUSABLE),
    ],
)
def test_an_error_under_http_200(body: Json, submit: K, poll: K) -> None:
    for asked, kind in ((None, submit), ("t", poll)):
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
        "task_id": st.sampled_from(["t", "../x", 7]) | json_values,
        "status": st.sampled_from(["queued", "succeeded", "failed", "odd"]) | json_values,
        "progress": json_values,
        "result_url": json_values,
        "metadata": json_values | st.fixed_dictionaries({"result_urls": json_values}),
        "error": json_values,
        "usage": json_values,
    },
)
answers = (
    json_values
    | task_objects
    | st.fixed_dictionaries({"code": st.just("success") | json_values, "data": task_objects | json_values})
)


@given(answers, st.sampled_from([None, "task_xxx"]))
def test_any_json_has_one_of_three_meanings(body: Any, asked: str | None) -> None:
    outcome = DIALECT.parse(body, asked)
    assert isinstance(outcome, Pending | Finished | ProviderFailure)
    if isinstance(outcome, Pending):
        assert outcome.task_id
        assert asked in (None, outcome.task_id)
    if isinstance(outcome, Finished):
        assert outcome.results
    if isinstance(outcome, ProviderFailure):
        # A poll costs nothing, and the answer to a submission is never worth a blind repetition.
        assert outcome.kind is not (K.AMBIGUOUS if asked else K.TRANSIENT)


# Over the wire

Settings = Callable[..., ProviderSettings]


async def with_service(
    settings: Settings, script: Callable[[Received], bytes], scene: Callable[[Provider, Any], Any]
) -> None:
    async with serving(script) as server:
        provider = TYPE.connect(settings(server.url + "/"))
        try:
            await scene(provider, server)
        finally:
            await provider.aclose()


def test_submit_poll_download(settings: Settings, tmp_path: Path) -> None:
    polls = iter(["queued", "processing", "succeeded"])

    def script(request: Received) -> bytes:
        if request.path == "/files/1.png":
            return http(200, b"pixels")
        assert request.headers["authorization"] == f"Bearer {CANARY}"
        if request.method == "POST":
            return answer({"task_id": "task:1", "status": "queued", "progress": "0%"})
        assert request.path == "/v1/images/tasks/task%3A1"
        task = {**DONE, "status": next(polls), "result_url": "/files/1.png", "usage": {"units": 3}}
        return answer(enveloped(task))

    async def scene(provider: Provider, server: Any) -> None:
        state = await provider.submit(Request("P", "NanoBanana"))
        for _ in range(3):
            assert isinstance(state, Pending)
            state = await provider.poll(state.task_id)
        assert state == Finished((UrlResult(f"{server.url}/files/1.png"),), "task:1", {"units": 3})
        await provider.download(f"{server.url}/files/1.png", tmp_path / "r")
        assert "authorization" not in server.received[-1].headers

    asyncio.run(with_service(settings, script, scene))
    assert (tmp_path / "r").read_bytes() == b"pixels"


def test_the_services_words_are_made_safe_and_the_provider_is_named(settings: Settings) -> None:
    evil = f"\x1b]52;c;x\x07 {CANARY} https://h.example/a?sig={CANARY}\u202e"
    tasks = iter(
        [
            {"task_id": "t", "status": evil},
            {"task_id": "t", "status": "failed", "error": {"message": evil}},
            {**DONE, "usage": {evil: evil}},
        ]
    )

    async def scene(provider: Provider, server: Any) -> None:
        pending = await provider.submit(Request("P", "NanoBanana"))
        assert isinstance(pending, Pending)
        with pytest.raises(ProviderFailure) as caught:
            await provider.submit(Request("P", "NanoBanana"))
        finished = await provider.submit(Request("P", "NanoBanana"))
        assert isinstance(finished, Finished)
        shown = (
            pending.status + str(pending.warning) + caught.value.message + json.dumps(dict(finished.usage))
        )
        for forbidden in (CANARY, "sig=", "\x1b", "\u202e"):
            assert forbidden not in shown
        assert caught.value.message.startswith("studio: the task ended as failed: ")

    asyncio.run(with_service(settings, lambda _: answer(next(tasks)), scene))


def test_a_recorded_task_id_that_is_hostile_is_never_asked_for(settings: Settings) -> None:
    async def scene(provider: Provider, server: Any) -> None:
        with pytest.raises(ProviderFailure):
            await provider.poll("../../admin")
        assert server.received == []

    asyncio.run(with_service(settings, lambda _: answer(DONE), scene))


def test_it_has_no_public_address_and_needs_a_key(settings: Settings) -> None:
    with pytest.raises(UsageError, match="no address"):
        TYPE.connect(settings(None))
    with pytest.raises(UsageError, match="no API key"):
        TYPE.connect(settings("https://h.example", api_key=None))
