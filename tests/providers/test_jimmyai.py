"""Jimmy AI's asynchronous dialect: the documented tables, what is sent, and what every answer means."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from raw_server import CANARY, Received, answer, http, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.base import (
    ConfigurableType,
    Finished,
    Pending,
    Provider,
    ProviderSettings,
    ReferenceFile,
    Request,
    UrlResult,
)
from imgbuild.providers.jimmyai import TYPE, JimmyaiDialect
from imgbuild.providers.jimmyai_models import FIELDS, GPT_IMAGE_RATIOS_AT_4K, RATIOS

DIALECT = JimmyaiDialect()
URL = "https://example.com/result.png"
DONE: dict[str, Json] = {
    "task_id": "t-1",
    "status": "completed",
    "progress": 100,
    "model": "gpt-image-2",
    "created_at": 1774836724,
    "completed_at": 1774836800,
    "result": {"image_url": URL, "video_url": None},
    "error_message": None,
}
DOCUMENT = yaml.safe_load(
    (Path(__file__).parent.parent / "data/jimmyai-images.openapi.yaml").read_text(encoding="utf-8")
)
PROPERTIES = DOCUMENT["components"]["schemas"]["ImageGenerationRequest"]["properties"]


def capabilities(model: str) -> Capabilities:
    found = TYPE.capabilities(model)
    assert isinstance(found, Capabilities)
    return found


def enveloped(data: Json, code: Json = "20000", msg: str = "ok") -> Json:
    return {"code": code, "msg": msg, "data": data}


def must_be_valid(body: Json) -> None:
    schema = {**DOCUMENT, "$ref": "#/components/schemas/ImageGenerationRequest"}
    Draft202012Validator(schema).validate(body)


# The models


def test_the_tables_are_those_of_the_services_openapi_document() -> None:
    assert tuple(PROPERTIES["ratio"]["enum"]) == RATIOS
    assert set(PROPERTIES) == set(FIELDS)
    assert all(model in PROPERTIES["model"]["description"] for model in TYPE.known_models())
    gpt = capabilities("gpt-image-2")
    assert list(gpt.qualities or ()) == PROPERTIES["quality"]["enum"]
    assert gpt.default_quality == PROPERTIES["quality"]["default"]
    assert gpt.default_ratio == PROPERTIES["ratio"]["default"]
    tiers = list(dict.fromkeys(option.resolution for option in gpt.ratios))
    assert tiers == PROPERTIES["resolution"]["enum"]
    assert " / ".join(GPT_IMAGE_RATIOS_AT_4K) in PROPERTIES["resolution"]["description"]


@pytest.mark.parametrize("model", [None, "", "gpt-image-1", "Nano-Banana"])
def test_any_other_model_is_unknown(model: str | None) -> None:
    assert TYPE.capabilities(model) == UnknownModel(
        model, ("gpt-image-2", "nano-banana", "nano-banana-2", "nano-banana-pro")
    )


@pytest.mark.parametrize(
    ("model", "tiers", "qualities", "references"),
    [
        ("gpt-image-2", ["1k", "2k", "4k"], ("low", "medium", "high"), 16),
        ("nano-banana", ["1k"], (), 3),
        ("nano-banana-2", ["1k", "2k", "4k"], (), 14),
        ("nano-banana-pro", ["1k", "2k", "4k"], (), 14),
    ],
)
def test_each_model(model: str, tiers: list[str], qualities: tuple[str, ...], references: int) -> None:
    found = capabilities(model)
    assert list(dict.fromkeys(option.resolution for option in found.ratios)) == tiers
    assert (found.qualities, found.references.max_count, found.references.files) == (
        qualities,
        references,
        True,
    )
    nothing = (found.sizes, found.formats, found.backgrounds, found.prices)
    assert (nothing, found.max_n) == (((), (), (), ()), 1)
    assert not any((found.seed, found.negative_prompt, found.mask))
    for tier in tiers:
        at = [option.ratio for option in found.ratios if option.resolution == tier]
        narrow = model == "gpt-image-2" and tier == "4k"
        assert at == list(GPT_IMAGE_RATIOS_AT_4K if narrow else RATIOS)


@pytest.mark.parametrize("model", TYPE.known_models())
def test_assumed_pixels_are_of_their_ratio_and_grow_with_the_resolution(model: str) -> None:
    last: dict[str, int] = {}
    for option in capabilities(model).ratios:
        if option.ratio == "auto":
            assert option.size is None
            continue
        assert option.size is not None
        width, height = map(int, option.ratio.split(":"))
        assert option.size.width / option.size.height == pytest.approx(width / height, rel=0.03)
        assert option.size.pixels > last.get(option.ratio, 0)
        last[option.ratio] = option.size.pixels
        if model == "gpt-image-2":
            assert option.size.pixels <= 8_294_400
            assert max(option.size.width, option.size.height) <= 3840
            assert not option.size.width % 16
            assert not option.size.height % 16


# What is sent


def file(path: Path, content: bytes = b"\x89PNG...") -> ReferenceFile:
    path.write_bytes(content)
    return ReferenceFile(path, sha256(path.read_bytes()).hexdigest(), "image/png")


def test_the_body(tmp_path: Path) -> None:
    url = ReferenceFile(tmp_path / "nowhere", "1" * 64, "image/png", "https://e.com/a.png")
    request = Request(
        "A cube",
        "gpt-image-2",
        ratio="16:9",
        resolution="4k",
        quality="high",
        references=(url, file(tmp_path / "b.png", b"pixels")),
        params={"style": {"a": 1}},
    )
    call = DIALECT.submit_call(request)
    assert (call.method, call.path, call.files) == ("POST", "/api/open-api/v1/images", ())
    assert call.body == {
        "model": "gpt-image-2",
        "prompt": "A cube",
        "ratio": "16:9",
        "resolution": "4k",
        "quality": "high",
        "images": ["https://e.com/a.png", "data:image/png;base64," + base64.b64encode(b"pixels").decode()],
        "style": {"a": 1},
    }


def test_nothing_is_sent_for_what_is_not_declared() -> None:
    assert DIALECT.submit_call(Request("P", "nano-banana")).body == {"model": "nano-banana", "prompt": "P"}


def test_every_request_is_valid_by_the_services_openapi_document(tmp_path: Path) -> None:
    reference = file(tmp_path / "a.png")
    for model in TYPE.known_models():
        found = capabilities(model)
        for option, quality, references in product(
            found.ratios, [None, *(found.qualities or ())], [(), (reference,)]
        ):
            request = Request(
                "P",
                model,
                ratio=option.ratio,
                resolution=option.resolution,
                quality=quality,
                references=references,
            )
            body = DIALECT.submit_call(request).body
            assert body is not None
            must_be_valid(dict(body))
            assert set(body) <= set(PROPERTIES)


@pytest.mark.parametrize(
    ("encoding", "prefix"),
    [(None, "data:image/png;base64,"), ("data-uri", "data:image/png;base64,"), ("base64", "")],
)
def test_the_encoding_of_references_can_be_chosen(tmp_path: Path, encoding: str | None, prefix: str) -> None:
    own: dict[str, Json] = {"options": {"reference_encoding": encoding}} if encoding else {}
    assert isinstance(TYPE, ConfigurableType)
    dialect = JimmyaiDialect(TYPE.configured(own).encode)
    body = dialect.submit_call(Request("P", "nano-banana", references=(file(tmp_path / "a", b"x"),))).body
    assert body is not None
    assert body["images"] == [prefix + "eA=="]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference_encodnig": "base64"}, 'did you mean "reference_encoding"'),
        ({"device": "cuda"}, "known: reference_encoding"),
        ({"reference_encoding": "hex"}, "data-uri, base64"),
        ({"reference_encoding": None}, "data-uri, base64"),
        ({"reference_encoding": ["base64"]}, "data-uri, base64"),
    ],
)
def test_other_options_are_refused(options: dict[str, Json], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TYPE.configured({"options": options})


def test_a_reference_that_cannot_be_read_is_no_traceback(tmp_path: Path) -> None:
    gone = ReferenceFile(tmp_path / "gone.png", "0" * 64, "image/png")
    with pytest.raises(ProviderFailure, match=r"gone\.png") as caught:
        DIALECT.submit_call(Request("P", "nano-banana", references=(gone,)))
    assert caught.value.kind is K.INVALID


# What answers mean


@pytest.mark.parametrize("wrap", [lambda t: t, enveloped, lambda t: enveloped(t, 20000)])
@pytest.mark.parametrize("asked", [None, "t-1"])
def test_with_an_envelope_or_without_and_with_either_code(
    wrap: Callable[[Json], Json], asked: str | None
) -> None:
    assert DIALECT.parse(wrap(DONE), asked) == Finished((UrlResult(URL),), "t-1")
    running: Json = {"task_id": "t-1", "status": "processing", "progress": 50}
    assert DIALECT.parse(wrap(running), asked) == Pending("t-1", "processing", 0.5)


@pytest.mark.parametrize("word", ["queued", "pending", "submitted", "processing"])
def test_words_of_a_task_at_work(word: str) -> None:
    outcome = DIALECT.parse(enveloped({"task_id": "t-1", "status": word, "progress": 0}), None)
    assert outcome == Pending("t-1", word, 0.0)


@pytest.mark.parametrize("word", ["completed", "success", "succeeded", "COMPLETED"])
def test_words_of_a_finished_task(word: str) -> None:
    assert isinstance(DIALECT.parse(enveloped({**DONE, "status": word}), "t-1"), Finished)


@pytest.mark.parametrize("status", ["审核中", "polishing", "", None, 7])
def test_an_unknown_status_is_still_running_with_a_warning(status: Json) -> None:
    outcome = DIALECT.parse(enveloped({**DONE, "status": status}), "t-1")
    assert isinstance(outcome, Pending)
    assert outcome.warning


@pytest.mark.parametrize(
    "members",
    [
        {"result": {"image_url": URL}},
        {"result": {"image_url": [URL]}},
        {"result": {"image_url": [{"url": URL}]}},
        {"result": {"image_urls": [URL]}},
        {"result": {"url": URL}},
        {"result": {"mediaUrl": URL}},
        {"result": {"image_url": None, "mediaUrl": [URL]}},
        {"result": URL},
        {"result": [URL]},
        {"result": None, "image_url": URL},
        {"result": None, "url": URL},
        {"result": None, "mediaUrl": URL},
    ],
)
def test_names_of_the_result(members: dict[str, Json]) -> None:
    outcome = DIALECT.parse(enveloped({**DONE, **members}), "t-1")
    assert outcome == Finished((UrlResult(URL),), "t-1")


@pytest.mark.parametrize(
    "result", [None, {}, [], "", {"image_url": None, "video_url": URL}, {"image_url": 7}]
)
def test_finished_without_a_picture_is_unusable(result: Json) -> None:
    outcome = DIALECT.parse(enveloped({**DONE, "result": result}), "t-1")
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is K.UNUSABLE


@pytest.mark.parametrize("name", ["error_message", "error_msg", "reason", "error"])
@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("upstream gave up", K.FAILED, "upstream gave up"),
        ({"code": "content_policy_violation", "message": "no"}, K.REFUSED, "no"),
        ("内容违规", K.REFUSED, "内容违规"),
    ],
)
@pytest.mark.parametrize("asked", [None, "t-1"])
def test_a_failed_task(name: str, error: Json, kind: K, words: str, asked: str | None) -> None:
    task: dict[str, Json] = {"task_id": "t-1", "status": "failed", "progress": 0, name: error}
    outcome = DIALECT.parse(enveloped(task), asked)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is kind
    assert words in outcome.message


@pytest.mark.parametrize("name", ["task_id", "taskId"])
def test_names_of_the_task_id(name: str) -> None:
    assert DIALECT.parse(enveloped({name: "t-9", "status": "queued"}), None) == Pending("t-9", "queued")


@pytest.mark.parametrize("task_id", ["../../x", "a/b", "..", "a b", "x\n", [], {}, True, 2**70])
def test_a_hostile_task_id_may_have_been_charged(task_id: Json) -> None:
    outcome = DIALECT.parse(enveloped({**DONE, "task_id": task_id}), None)
    assert isinstance(outcome, ProviderFailure)
    assert outcome.kind is K.AMBIGUOUS


@pytest.mark.parametrize(
    "body", [None, [], "ok", 7, {}, enveloped(None), enveloped({}), enveloped([]), {"msg": "ok"}]
)
def test_an_accepted_submission_that_says_nothing_may_have_been_charged(body: Json) -> None:
    submitted, polled = DIALECT.parse(body, None), DIALECT.parse(body, "t-1")
    assert isinstance(submitted, ProviderFailure)
    assert submitted.kind is K.AMBIGUOUS
    assert isinstance(polled, ProviderFailure)
    assert polled.kind is K.TRANSIENT


@pytest.mark.parametrize(
    ("body", "submit", "poll"),
    [
        (enveloped(None, "40000", "bad ratio"), K.INVALID, K.UNUSABLE),
        (enveloped({"task_id": "t-1"}, 50000, "系统错误"), K.INVALID, K.UNUSABLE),
        (enveloped(None, 40200, "余额不足"), K.CREDIT, K.CREDIT),
        (enveloped(None, "40300", "内容违规"), K.REFUSED, K.REFUSED),
        (enveloped(None, 40100, "Invalid API key."), K.AUTH, K.AUTH),
        (enveloped(None, "42900", "请求过于频繁"), K.RATE_LIMITED, K.RATE_LIMITED),
        ({"error": {"message": "bad", "code": "c"}}, K.INVALID, K.UNUSABLE),
        ({"error": {"message": "no", "code": "moderation_blocked"}}, K.REFUSED, K.REFUSED),
    ],
)
def test_an_error_under_http_200(body: Json, submit: K, poll: K) -> None:
    for asked, kind in ((None, submit), ("t-1", poll)):
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
        "taskId": json_values,
        "status": st.sampled_from(["queued", "completed", "failed", "odd"]) | json_values,
        "progress": json_values,
        "result": json_values | st.fixed_dictionaries({"image_url": json_values}),
        "mediaUrl": json_values,
        "error_message": json_values,
        "error": json_values,
        "usage": json_values,
    },
)
answers = (
    json_values
    | task_objects
    | st.fixed_dictionaries(
        {"code": st.sampled_from(["20000", 20000]) | json_values, "data": task_objects | json_values}
    )
)


@given(answers, st.sampled_from([None, "t-1"]))
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


def test_submit_poll_download(settings: Callable[..., ProviderSettings], tmp_path: Path) -> None:
    polls = iter(["queued", "processing", "completed"])

    def script(request: Received) -> bytes:
        if request.path == "/files/1.png":
            return http(200, b"pixels")
        assert request.headers["authorization"] == f"Bearer {CANARY}"
        if request.method == "POST":
            assert request.path == "/api/open-api/v1/images"
            must_be_valid(request.json())
            return answer(enveloped({"task_id": "t:1", "status": "queued", "created_at": 1}))
        assert request.path == "/api/open-api/v1/images/t%3A1"
        result = {"image_url": "/files/1.png", "video_url": None}
        return answer(enveloped({**DONE, "status": next(polls), "result": result}))

    async def scene() -> None:
        async with serving(script) as server:
            provider: Provider = TYPE.connect(settings(server.url + "/", type="jimmyai"))
            try:
                state = await provider.submit(Request("P", "gpt-image-2", ratio="auto"))
                for _ in range(3):
                    assert isinstance(state, Pending)
                    state = await provider.poll(state.task_id)
                assert state == Finished((UrlResult(f"{server.url}/files/1.png"),), "t:1")
                await provider.download(f"{server.url}/files/1.png", tmp_path / "r")
                assert "authorization" not in server.received[-1].headers
            finally:
                await provider.aclose()

    asyncio.run(scene())
    assert (tmp_path / "r").read_bytes() == b"pixels"


def test_it_has_a_public_address_and_needs_a_key() -> None:
    assert TYPE.default_base_url == "https://www.jimmyai.cn"
    assert TYPE.needs_key
