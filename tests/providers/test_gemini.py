"""Gemini's dialect: the documented tables, what is sent, and what every kind of answer means."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from raw_server import CANARY, answer, serving

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.core.plan.cost import estimate
from imgbuild.emulator.gemini_models import MODELS
from imgbuild.providers.base import (
    FileResult,
    Finished,
    ProviderSettings,
    ReferenceFile,
    Request,
)
from imgbuild.providers.gemini import IMAGE_SIZES, TYPE, GeminiDialect

Settings = Callable[..., ProviderSettings]
DIALECT = GeminiDialect()
FLASH, PRO, FIRST = "gemini-3.1-flash-image", "gemini-3-pro-image", "gemini-2.5-flash-image"
TEN = ["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"]


def capabilities(model: str) -> Capabilities:
    found = TYPE.capabilities(model)
    assert isinstance(found, Capabilities)
    return found


def parse(value: Json) -> Finished | ProviderFailure:
    return DIALECT.parse(value, lambda text: FileResult(Path(text)))


def failed(value: Json) -> ProviderFailure:
    outcome = parse(value)
    assert isinstance(outcome, ProviderFailure)
    return outcome


def with_parts(*parts: Json, reason: str = "STOP", **more: Json) -> Json:
    content: Json = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "finishReason": reason, "index": 0, **more}]}


def picture(data: str = "cGljdHVyZQ==") -> Json:
    return {"inlineData": {"mimeType": "image/png", "data": data}}


# The models


def test_the_models_are_those_that_google_serves() -> None:
    assert TYPE.known_models() == (FLASH, PRO, FIRST)
    assert TYPE.capabilities("gemini-3-pro") == UnknownModel("gemini-3-pro", TYPE.known_models())
    assert isinstance(TYPE.capabilities(None), UnknownModel)


@pytest.mark.parametrize(
    ("model", "tiers", "more", "references"),
    [
        (FLASH, ["0.5k", "1k", "2k", "4k"], ["9:21", "1:4", "4:1", "1:8", "8:1"], 14),
        (PRO, ["1k", "2k", "4k"], [], 14),
        (FIRST, ["1k"], [], 3),
    ],
)
def test_ratios_and_resolutions(model: str, tiers: list[str], more: list[str], references: int) -> None:
    found = capabilities(model)
    assert [(o.ratio, o.resolution) for o in found.ratios] == [
        (ratio, tier) for tier in tiers for ratio in TEN + more
    ]
    assert found.references.max_count == references
    for option in found.ratios:
        assert option.size is not None
        width, height = map(int, option.ratio.split(":"))
        assert option.size.width / option.size.height == pytest.approx(width / height, rel=0.04)


@pytest.mark.parametrize("model", TYPE.known_models())
def test_client_and_emulator_have_the_same_tables(model: str) -> None:
    emulated = MODELS[model]
    found = {(o.ratio, IMAGE_SIZES[o.resolution or ""]): o.size for o in capabilities(model).ratios}
    assert found == {
        (ratio, size): emulated.size(ratio, size) for size in emulated.tokens for ratio in emulated.pixels
    }
    assert capabilities(model).references.max_count == emulated.references


@pytest.mark.parametrize(
    ("model", "tier", "price"),
    [
        (FLASH, "0.5k", 0.045),
        (FLASH, "1k", 0.067),
        (FLASH, "2k", 0.101),
        (FLASH, "4k", 0.151),
        (PRO, "1k", 0.134),
        (PRO, "2k", 0.134),
        (PRO, "4k", 0.24),
        (FIRST, "1k", 0.039),
    ],
)
def test_prices(model: str, tier: str, price: float) -> None:
    assert estimate(None, capabilities(model), quality=None, tier=tier, size=None) == price


@pytest.mark.parametrize("model", TYPE.known_models())
def test_nothing_that_the_api_does_not_offer(model: str) -> None:
    found = capabilities(model)
    assert not any((found.seed, found.negative_prompt, found.mask, found.sizes, found.grid))
    assert found.qualities == found.backgrounds == found.formats == ()
    assert found.max_n == 1


# What is sent


def body(request: Request) -> Any:
    call = DIALECT.submit_call(request)
    assert (call.method, call.files) == ("POST", ())
    assert call.path == f"/v1beta/models/{request.model}:generateContent"
    return call.body


@pytest.mark.parametrize(
    ("request_", "image_config"),
    [
        (Request("p", FLASH), None),
        (Request("p", FLASH, ratio="16:9"), {"aspectRatio": "16:9"}),
        (Request("p", FLASH, resolution="0.5k"), {"imageSize": "512"}),
        (Request("p", PRO, ratio="4:5", resolution="1k"), {"aspectRatio": "4:5", "imageSize": "1K"}),
        (Request("p", PRO, resolution="2k"), {"imageSize": "2K"}),
        (Request("p", PRO, resolution="4k"), {"imageSize": "4K"}),
        (Request("p", FIRST, ratio="1:1", resolution="1k"), {"aspectRatio": "1:1"}),
        (Request("p", FIRST, resolution="1k"), None),
    ],
)
def test_the_shape(request_: Request, image_config: Json) -> None:
    sent = body(request_)
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "p"}]}]
    assert sent["generationConfig"].pop("imageConfig", None) == image_config
    assert sent["generationConfig"] == {"responseModalities": ["IMAGE"]}


def test_references_are_in_the_request(tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.webp"]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 10)
    references = tuple(
        ReferenceFile(
            file, sha256(file.read_bytes()).hexdigest(), f"image/{file.suffix[1:]}", "https://example.com/x"
        )
        for file in files
    )
    parts = body(Request("p", FLASH, references=references))["contents"][0]["parts"]
    assert parts == [
        {"text": "p"},
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(bytes(10)).decode()}},
        {"inlineData": {"mimeType": "image/webp", "data": base64.b64encode(b"\1" * 10).decode()}},
    ]


def test_a_reference_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = ReferenceFile(tmp_path / "gone.png", "0" * 64, "image/png")
    with pytest.raises(ProviderFailure, match=r"gone\.png"):
        DIALECT.submit_call(Request("p", FLASH, references=(gone,)))


def test_params_go_along_and_set_nothing_of_ours() -> None:
    params: dict[str, Json] = {
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {
            "temperature": 0.5,
            "imageConfig": {"aspectRatio": "1:1", "personGeneration": "x"},
        },
    }
    sent = body(Request("p", FLASH, ratio="16:9", params=params))
    assert sent["safetySettings"] == params["safetySettings"]
    assert sent["generationConfig"] == {
        "temperature": 0.5,
        "responseModalities": ["IMAGE"],
        "imageConfig": {"aspectRatio": "16:9", "personGeneration": "x"},
    }
    assert params["generationConfig"] == {
        "temperature": 0.5, "imageConfig": {"aspectRatio": "1:1", "personGeneration": "x"}
    }  # fmt: skip
    assert "contents" in capabilities(FLASH).own_params


# What answers mean


def test_a_picture_and_what_it_used() -> None:
    usage: Json = {"promptTokenCount": 4, "candidatesTokenCount": 1120, "totalTokenCount": 1124}
    value = with_parts({"text": "Here it is."}, picture("YWJj"), picture("ZGVm"))
    assert isinstance(value, dict)
    outcome = parse({**value, "usageMetadata": usage})
    assert outcome == Finished((FileResult(Path("YWJj")),), usage={str(k): v for k, v in dict(usage).items()})  # type: ignore[arg-type]


def test_both_spellings_are_read() -> None:
    part: Json = {"inline_data": {"mime_type": "image/png", "data": "YWJj"}}
    value: Json = {
        "candidates": [{"content": {"parts": [part]}, "finish_reason": "STOP"}],
        "usage_metadata": {"total_token_count": 5},
    }
    assert parse(value) == Finished((FileResult(Path("YWJj")),), usage={"total_token_count": 5})
    assert failed({"prompt_feedback": {"block_reason": "SAFETY"}}).kind is K.REFUSED
    assert failed({"candidates": [{"finish_reason": "IMAGE_SAFETY"}]}).kind is K.REFUSED


def test_thoughts_are_no_answer() -> None:
    thoughts: list[Json] = [
        {"text": "a draft", "thought": True},
        {"inlineData": {"mimeType": "image/png", "data": "ZHJhZnQ="}, "thought": True},
    ]
    assert parse(with_parts(*thoughts, picture("YWJj"))) == Finished((FileResult(Path("YWJj")),))
    only = failed(with_parts(*thoughts))
    assert only.kind is K.FAILED
    assert "draft" not in only.message


@pytest.mark.parametrize(
    "reason",
    [
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "NO_IMAGE",
    ],
)
def test_refusals_come_as_successes(reason: str) -> None:
    outcome = failed({"candidates": [{"finishReason": reason, "finishMessage": "Not this one."}]})
    assert (outcome.kind, outcome.message) == (
        K.REFUSED,
        f"the service gave no picture ({reason}): Not this one.",
    )


@pytest.mark.parametrize(
    "reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "NEW"]
)
@pytest.mark.parametrize("more", [{}, {"candidates": []}])
def test_a_blocked_prompt(reason: str, more: dict[str, Json]) -> None:
    outcome = failed({"promptFeedback": {"blockReason": reason}, **more})
    assert (outcome.kind, outcome.message) == (K.REFUSED, f"the prompt was blocked as {reason}")


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (with_parts({"text": "I can only talk."}), K.FAILED, "(STOP): I can only talk."),
        (with_parts({"text": "That is against our content policy."}), K.REFUSED, "content policy"),
        (with_parts(reason="MAX_TOKENS"), K.FAILED, "(MAX_TOKENS)"),
        (with_parts(reason="IMAGE_OTHER", finishMessage="Try again."), K.FAILED, "(IMAGE_OTHER): Try again."),
        (with_parts(reason="A_NEW_ONE"), K.FAILED, "A_NEW_ONE"),
        (with_parts(reason="PUP_LIMITED_DISABLED"), K.AUTH, "PUP_LIMITED_DISABLED"),
        ({"candidates": [{}]}, K.FAILED, "no reason given"),
        (
            {"error": {"code": 400, "message": "Bad size.", "status": "INVALID_ARGUMENT"}},
            K.INVALID,
            "Bad size.",
        ),
        ({"candidates": []}, K.AMBIGUOUS, "neither a picture nor a reason"),
        ({}, K.AMBIGUOUS, "neither"),
        ([], K.AMBIGUOUS, "neither"),
        (None, K.AMBIGUOUS, "neither"),
    ],
)
def test_answers_without_a_picture(value: Json, kind: K, words: str) -> None:
    outcome = failed(value)
    assert outcome.kind is kind
    assert words in outcome.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "candidates",
    "content",
    "parts",
    "inlineData",
    "inline_data",
    "data",
    "thought",
    "finishReason",
    "text",
]
NAMES += ["promptFeedback", "blockReason", "usageMetadata", "error", "message", "details", "finishMessage"]
SHAPED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)


@given(JSON | SHAPED | SHAPED.map(lambda part: with_parts(part)))
def test_any_answer_is_finished_or_a_failure(value: Json) -> None:
    outcome = parse(value)
    assert isinstance(outcome, Finished | ProviderFailure)
    assert not isinstance(outcome, Finished) or len(outcome.results) == 1


# Over the wire


def submit(settings: ProviderSettings, request: Request) -> Finished:
    async def scene() -> Finished:
        provider = TYPE.connect(settings)
        try:
            finished = await provider.submit(request)
        finally:
            await provider.aclose()
        assert isinstance(finished, Finished)
        return finished

    return asyncio.run(scene())


def failure(settings: ProviderSettings, request: Request) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as caught:
        submit(settings, request)
    return caught.value


def against(settings: Settings, reply: bytes) -> tuple[ProviderFailure | Finished, Any]:
    async def scene() -> tuple[ProviderFailure | Finished, Any]:
        async with serving(reply) as server:
            provider = TYPE.connect(settings(server.url + "/", type="gemini"))
            try:
                outcome: Any = await provider.submit(Request("a fox", PRO))
            except ProviderFailure as failure:
                outcome = failure
            await provider.aclose()
            return outcome, server.received

    return asyncio.run(scene())


def google(status: int, word: str, message: str, *details: Json) -> bytes:
    error: Json = {"code": status, "message": message, "status": word, "details": list(details)}
    return answer({"error": error}, status)


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}
INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


@pytest.mark.parametrize(
    ("reply", "kind", "after"),
    [
        (
            google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", INFO, RETRY),
            K.RATE_LIMITED,
            37.5,
        ),
        (google(429, "RESOURCE_EXHAUSTED", "Slow down."), K.RATE_LIMITED, None),
        (google(429, "RESOURCE_EXHAUSTED", "x", {"retryDelay": "-1s"}), K.RATE_LIMITED, None),
        (google(429, "RESOURCE_EXHAUSTED", "x", {"retryDelay": "999999s"}), K.RATE_LIMITED, 300.0),
        (google(429, "RESOURCE_EXHAUSTED", "x", {"retryDelay": 5}, [], None), K.RATE_LIMITED, None),
        (google(503, "UNAVAILABLE", "The model is overloaded."), K.RATE_LIMITED, None),
        (
            google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", INFO),
            K.AUTH,
            None,
        ),
        (google(403, "PERMISSION_DENIED", "Your project has been denied access."), K.AUTH, None),
        (google(404, "NOT_FOUND", "models/x is not found for API version v1beta"), K.INVALID, None),
        (google(400, "INVALID_ARGUMENT", "Unable to process input image."), K.INVALID, None),
        (google(500, "INTERNAL", "An internal error has occurred."), K.AMBIGUOUS, None),
        (google(504, "DEADLINE_EXCEEDED", "The request timed out."), K.AMBIGUOUS, None),
    ],
)
def test_googles_errors(settings: Settings, reply: bytes, kind: K, after: float | None) -> None:
    outcome, received = against(settings, reply)
    assert isinstance(outcome, ProviderFailure)
    assert (outcome.kind, outcome.retry_after) == (kind, after)
    assert len(received) == 1


def test_the_key_is_in_its_own_header_and_nowhere_else(settings: Settings) -> None:
    outcome, [received] = against(settings, google(403, "PERMISSION_DENIED", f"wrong key {CANARY}"))
    assert received.path == f"/v1beta/models/{PRO}:generateContent"
    assert received.headers["x-goog-api-key"] == CANARY
    assert "authorization" not in received.headers
    assert received.raw_head.count(CANARY) == 1
    assert CANARY.encode() not in received.body
    assert CANARY not in str(outcome)


@pytest.mark.parametrize("tier", ["1k", "4k"])
@pytest.mark.parametrize("chatter", [False, True])
def test_a_picture_from_the_emulator(
    start_emulator: Callable[..., Any], settings: Settings, tmp_path: Path, tier: str, chatter: bool
) -> None:
    emulator = start_emulator(gemini_chatter=chatter, gemini_format="jpeg")
    done = submit(settings(emulator.url), Request("a fox", PRO, ratio="16:9", resolution=tier))
    [result] = done.results
    assert isinstance(result, FileResult)
    image = pyvips.Image.new_from_file(str(result.path))
    expected = {"1k": Size(1376, 768), "4k": Size(5504, 3072)}[tier]
    assert (image.width, image.height) == (expected.width, expected.height)
    assert done.usage["candidatesTokenCount"] == {"1k": 1120, "4k": 2000}[tier]
    # Drafts and signatures are not left lying about.
    assert list(tmp_path.iterdir()) == [result.path]
    [charge] = emulator.ledger()["charges"]
    assert (charge["dialect"], charge["model"], charge["size"]) == ("gemini", PRO, f"16:9 {tier.upper()}")


@pytest.mark.parametrize("model", TYPE.known_models())
def test_every_ratio_and_resolution_is_taken_and_gives_what_the_table_says(
    emulator: Any, settings: Settings, model: str
) -> None:
    for option in capabilities(model).ratios:
        # The large ones are drawn the same way, only slowly.
        if option.size is None or option.size.pixels > 5_000_000:
            continue
        request = Request("p", model, ratio=option.ratio, resolution=option.resolution)
        [result] = submit(settings(emulator.url), request).results
        assert isinstance(result, FileResult)
        image = pyvips.Image.new_from_file(str(result.path))
        assert Size(image.width, image.height) == option.size
        result.path.unlink()


def test_references_arrive(emulator: Any, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "in.png"
    pyvips.Image.black(8, 8).write_to_file(str(file))
    references = (ReferenceFile(file, sha256(file.read_bytes()).hexdigest(), "image/png"),) * 3
    submit(settings(emulator.url), Request("p", FIRST, references=references))
    digest = "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
    [charge] = emulator.ledger()["charges"]
    assert (charge["references"], charge["task_type"]) == ([digest] * 3, "image2image")


@pytest.mark.parametrize("shape", ["prompt", "candidate", "words"])
def test_a_refusal_in_each_shape(start_emulator: Callable[..., Any], settings: Settings, shape: str) -> None:
    emulator = start_emulator(gemini_refusal=shape)
    assert failure(settings(emulator.url), Request("[fault:refuse]", FLASH)).kind is K.REFUSED


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("fail", K.FAILED),
        ("refuse", K.REFUSED),
        ("refuse-400", K.REFUSED),
        ("401", K.AUTH),
        ("402", K.CREDIT),
        ("429", K.RATE_LIMITED),
        ("500", K.AMBIGUOUS),
        ("503", K.RATE_LIMITED),
        ("error-200", K.INVALID),
        ("drop-before", K.AMBIGUOUS),
        ("drop-after-accept", K.AMBIGUOUS),
        ("500-after-accept", K.AMBIGUOUS),
        ("truncated", K.AMBIGUOUS),
    ],
)
def test_faults(emulator: Any, settings: Settings, tmp_path: Path, fault: str, kind: K) -> None:
    found = failure(settings(emulator.url), Request(f"a fox [fault:{fault}]", FLASH))
    assert found.kind is kind
    assert found.retry_after == (1.0 if fault == "429" else None)
    assert list(tmp_path.iterdir()) == []


def test_it_waits_no_longer_than_its_time_limit(emulator: Any, settings: Settings) -> None:
    hangs = Request("[fault:hang-after-accept]", FLASH)
    assert failure(settings(emulator.url, timeout=0.5), hangs).kind is K.AMBIGUOUS


def test_json_is_what_the_documentation_shows() -> None:
    sent = json.dumps(body(Request("A cat", FLASH, ratio="5:4", resolution="2k")))
    assert json.loads(sent) == {
        "contents": [{"role": "user", "parts": [{"text": "A cat"}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "5:4", "imageSize": "2K"},
        },
    }
