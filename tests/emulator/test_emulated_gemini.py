"""The dialect gemini over HTTP: the official client against it, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import pyvips
from google import genai
from google.genai import errors, types

from imgbuild.emulator.gemini_models import MODELS

FLASH, FIRST = "gemini-3.1-flash-image", "gemini-2.5-flash-image"
PNG = pyvips.Image.black(2, 2).write_to_buffer(".png")
ENCODED = base64.b64encode(PNG).decode()


def official(emulator: Any, version: str = "v1beta") -> genai.Client:
    options = types.HttpOptions(
        base_url=emulator.url, api_version=version, client_args={"trust_env": False, "verify": False}
    )
    return genai.Client(api_key="sk-canary-7f3a", vertexai=False, http_options=options)


def pictures(answer: types.GenerateContentResponse) -> list[types.Blob]:
    assert answer.candidates is not None
    content = answer.candidates[0].content
    assert content is not None
    assert content.parts is not None
    return [part.inline_data for part in content.parts if part.inline_data and not part.thought]


# The official client


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_text_to_image(emulator: Any, version: str) -> None:
    with official(emulator, version) as client:
        answer = client.models.generate_content(
            model=FLASH,
            contents="a red fox",
            config=types.GenerateContentConfig(
                response_modalities=["Text", "Image"],
                image_config=types.ImageConfig(aspect_ratio="21:9", image_size="2K"),
            ),
        )
    [blob] = pictures(answer)
    assert blob.mime_type == "image/png"
    image = pyvips.Image.new_from_buffer(blob.data, "")
    assert (image.width, image.height) == (3168, 1344)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.candidates_token_count == 1680
    [charge] = emulator.ledger()["charges"]
    assert (charge["dialect"], charge["prompt"], charge["task_type"]) == ("gemini", "a red fox", "text2image")


def test_with_a_reference_in_the_request(emulator: Any) -> None:
    with official(emulator) as client:
        answer = client.models.generate_content(
            model=FIRST, contents=["make it blue", types.Part.from_bytes(data=PNG, mime_type="image/png")]
        )
    assert len(pictures(answer)) == 1
    [charge] = emulator.ledger()["charges"]
    assert charge["references"] == [f"sha256:{hashlib.sha256(PNG).hexdigest()}"]
    assert charge["task_type"] == "image2image"


def test_thoughts_come_first_where_they_are_wanted(start_emulator: Callable[..., Any]) -> None:
    with official(start_emulator(gemini_chatter=True)) as client:
        answer = client.models.generate_content(model=FLASH, contents="a red fox")
    assert answer.text == "Here it is."
    assert len(pictures(answer)) == 1


@pytest.mark.parametrize("shape", ["prompt", "candidate"])
def test_a_refusal_is_understood(start_emulator: Callable[..., Any], shape: str) -> None:
    with official(start_emulator(gemini_refusal=shape)) as client:
        answer = client.models.generate_content(model=FLASH, contents="[fault:refuse]")
    if shape == "prompt":
        assert answer.prompt_feedback is not None
        assert answer.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT
    else:
        assert answer.candidates is not None
        assert answer.candidates[0].finish_reason is types.FinishReason.IMAGE_SAFETY


def test_an_error_is_understood(emulator: Any) -> None:
    with official(emulator) as client, pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=FLASH, contents="[fault:429]")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


# By hand


def post(emulator: Any, fields: Any, model: str = FLASH, **headers: str) -> httpx.Response:
    named = {"x-goog-api-key": "sk-canary-7f3a"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    response: httpx.Response = emulator.http.post(
        f"/v1beta/models/{model}:generateContent", json=fields, headers=named
    )
    return response


def asking(*parts: Any, **config: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"contents": [{"parts": list(parts)}]}
    return {**fields, "generationConfig": config} if config else fields


FOX = {"text": "a fox"}
PICTURE = {"inlineData": {"mimeType": "image/png", "data": ENCODED}}


@pytest.mark.parametrize(
    "fields",
    [
        asking(FOX),
        asking(FOX, PICTURE),
        {
            "contents": [{"role": "user", "parts": [FOX, {"inline_data": {"mime_type": "image/png", "data": ENCODED}}]}],
            "generation_config": {"response_modalities": ["IMAGE"], "image_config": {"aspect_ratio": "1:8"}},
            "safety_settings": [],
        },
        asking(FOX, candidateCount=1, temperature=1, seed=5, thinkingConfig={"includeThoughts": True}),
    ],
)  # fmt: skip
def test_both_spellings_are_taken(emulator: Any, fields: dict[str, Any]) -> None:
    answer = post(emulator, fields)
    assert answer.status_code == 200, answer.text
    assert answer.json()["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"parts": []}]}, "parts"),
        (asking({}), "parts"),
        (asking({"text": "a", **PICTURE}), "oneof"),
        (asking({"text": " "}), "prompt"),
        (asking(PICTURE), "prompt"),
        (asking(FOX, {"inlineData": {"mimeType": "image/gif", "data": ENCODED}}), "mimeType"),
        (asking(FOX, {"inlineData": {"mimeType": "image/png", "data": "no base64!"}}), "data"),
        (asking(FOX, *[PICTURE] * 15), "14 images"),
        ({**asking(FOX), "prompt": "a fox"}, "prompt"),
        ({**asking(FOX), "tools": None}, "null"),
        (asking(FOX, imageConfig={"aspectRatio": "2:1"}), "aspect_ratio"),
        (asking(FOX, imageConfig={"imageSize": "1k"}), "image_size"),
        (asking(FOX, imageConfig={"imageSize": "8K"}), "image_size"),
        (asking(FOX, imageConfig={"outputMimeType": "image/webp"}), "outputMimeType"),
        (asking(FOX, candidateCount=2), "candidateCount"),
        (asking(FOX, responseModalities=["AUDIO"]), "TEXT and IMAGE"),
        (asking(FOX, responseModalities=["TEXT"]), "TEXT and IMAGE"),
        ([], "object"),
    ],
)
def test_what_the_documentation_does_not_allow_is_refused(emulator: Any, fields: Any, word: str) -> None:
    answer = post(emulator, fields)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert word in error["message"]
    assert emulator.ledger()["charges"] == []


def test_the_first_generation_has_one_size_and_no_field_for_it(emulator: Any) -> None:
    answer = post(emulator, asking(FOX, imageConfig={"imageSize": "1K"}), FIRST)
    assert answer.status_code == 400
    assert "none" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["gemini-1:generateContent", f"{FLASH}:predict", FLASH])
def test_what_is_not_there_is_not_found(emulator: Any, path: str) -> None:
    answer = emulator.http.post(f"/v1/models/{path}", json=asking(FOX), headers={"x-goog-api-key": "k"})
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_a_key_stands_in_the_header_or_the_query(emulator: Any) -> None:
    path = f"/v1beta/models/{FLASH}:generateContent"
    for headers in ({}, {"authorization": "Bearer sk-canary-7f3a"}, {"x-goog-api-key": ""}):
        answer = emulator.http.post(path, json=asking(FOX), headers=headers)
        assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert emulator.http.post(path, json=asking(FOX), params={"key": "k"}).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        ("401", 400, "INVALID_ARGUMENT"),
        ("402", 402, "FAILED_PRECONDITION"),
        ("429", 429, "RESOURCE_EXHAUSTED"),
        ("500", 500, "INTERNAL"),
        ("503", 503, "UNAVAILABLE"),
        ("error-200", 200, "FAILED_PRECONDITION"),
        ("no-such-fault", 400, "INVALID_ARGUMENT"),
    ],
)
def test_errors_have_googles_shape(emulator: Any, fault: str, status: int, word: str) -> None:
    answer = post(emulator, asking({"text": f"[fault:{fault}]"}))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (status, status, word)
    if fault == "429":
        assert "retry-after" not in answer.headers
        assert error["details"][0]["retryDelay"] == "1s"


@pytest.mark.parametrize(("fault", "picture"), [("empty", b""), ("html", b"<!doctype")])
def test_a_result_can_be_no_picture(emulator: Any, fault: str, picture: bytes) -> None:
    answer = post(emulator, asking({"text": f"[fault:{fault}]"})).json()
    data = base64.b64decode(answer["candidates"][0]["content"]["parts"][0]["inlineData"]["data"])
    assert data.startswith(picture)
    assert bool(data) == bool(picture)


def test_the_models_are_known() -> None:
    assert sorted(MODELS) == ["gemini-2.5-flash-image", "gemini-3-pro-image", "gemini-3.1-flash-image"]
