"""The emulated openai and jimmyai-sync: as strict as their references, and charged like them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from imgbuild.core.image import Size
from imgbuild.emulator.pictures import draw
from imgbuild.images.vips import pyvips

KEY = {"Authorization": "Bearer sk-canary-7f3a"}
OPENAI = "/v1/images"
JIMMY = "/api/open-api/v1/images"
GPT = {"model": "gpt-image-2", "prompt": "a cat"}
PNG = draw("reference", Size(64, 48), "png")


def post(emulator: Any, path: str, json: object = None, **more: Any) -> httpx.Response:
    answer: httpx.Response = emulator.http.post(path, json=json, headers=KEY, **more)
    return answer


def generate(emulator: Any, **fields: object) -> httpx.Response:
    return post(emulator, f"{OPENAI}/generations", {**GPT, **fields})


def decoded(text: str) -> pyvips.Image:
    return pyvips.Image.new_from_buffer(base64.b64decode(text), "")


def mask(size: Size, *, alpha: bool = True) -> bytes:
    """A mask of `size`, half of it transparent where it has an alpha channel."""
    picture = pyvips.Image.black(size.width, size.height, bands=4 if alpha else 3)
    encoded: bytes = picture.copy(interpretation="srgb").write_to_buffer(".png")
    return encoded


def test_an_answer_is_openais(emulator: Any) -> None:
    answer = generate(
        emulator, size="1536x864", quality="low", n=2, output_format="webp", background="opaque"
    )
    body = answer.raise_for_status().json()
    assert set(body) == {"created", "data", "background", "output_format", "quality", "size", "usage"}
    assert (body["size"], body["quality"], body["output_format"]) == ("1536x864", "low", "webp")
    first, second = (item["b64_json"] for item in body["data"])
    assert first != second
    picture = decoded(first)
    assert (picture.width, picture.height, picture.get("vips-loader")) == (1536, 864, "webpload_buffer")
    usage = body["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    [charge] = emulator.ledger()["charges"]
    assert (charge["dialect"], charge["n"], charge["units"], charge["quality"]) == ("openai", 2, 2.0, "low")
    assert "x-ratelimit-remaining-requests" not in answer.headers


def test_the_size_auto_is_on_no_grid(emulator: Any) -> None:
    body = generate(emulator).raise_for_status().json()
    assert body["size"] == "1254x1254"
    assert decoded(body["data"][0]["b64_json"]).width == 1254


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"size": "1792x936"}, "size", "Width and height must both be divisible by 16."),
        ({"size": "1920x1080"}, "size", "divisible by 16"),
        ({"size": "512x512"}, "size", "655360"),
        ({"size": "3840x2176"}, "size", "8294400"),
        ({"size": "3856x1296"}, "size", "3840 pixels"),
        ({"size": "3200x1056"}, "size", "1:3 and 3:1"),
        ({"size": "16:9"}, "size", "Invalid value"),
        ({"model": "gpt-image-1.5", "size": "1536x864"}, "size", "1024x1536"),
        ({"quality": "xhigh"}, "quality", "auto, low, medium, high."),
        ({"quality": "hd"}, "quality", "Invalid value"),
        ({"n": 11}, "n", "1 and 10"),
        ({"n": 0}, "n", "1 and 10"),
        ({"n": "2"}, "n", "integer"),
        ({"background": "transparent", "output_format": "jpeg"}, "background", "JPEG"),
        ({"output_format": "gif"}, "output_format", "png"),
        ({"output_compression": 50}, "output_compression", "webp and jpeg"),
        ({"output_compression": 101, "output_format": "webp"}, "output_compression", "100"),
        ({"moderation": "none"}, "moderation", "auto"),
        ({"stream": True}, "stream", "False"),
        ({"input_fidelity": "high"}, "input_fidelity", "Unknown parameter"),
        ({"response_format": "url"}, "response_format", "Unknown parameter"),
        ({"seed": 7}, "seed", "Unknown parameter"),
        ({"prompt": " "}, "prompt", "match"),
        ({"model": "dall-e-3"}, None, "retired"),
        ({"model": "gpt-image-9"}, None, "does not exist"),
    ],
)
def test_what_the_reference_does_not_allow_is_refused_and_free(
    emulator: Any, fields: dict[str, object], param: str | None, words: str
) -> None:
    answer = generate(emulator, **fields)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert param in (None, error["param"])
    assert words in error["message"]
    assert emulator.ledger()["charges"] == []


@pytest.mark.parametrize("model", ["gpt-image-2.5-flare", "gpt-image-2.6-sunburst"])
@pytest.mark.parametrize("quality", ["xhigh", "max"])
def test_the_best_qualities_are_the_newer_models(emulator: Any, model: str, quality: str) -> None:
    generate(emulator, model=model, quality=quality, size="1024x1024", complexity="high").raise_for_status()


def test_a_key_is_required_and_a_body_must_be_json(emulator: Any) -> None:
    without = emulator.http.post(f"{OPENAI}/generations", json=GPT)
    assert (without.status_code, without.json()["error"]["code"]) == (401, "invalid_api_key")
    assert post(emulator, f"{OPENAI}/generations", data={"prompt": "x"}).status_code == 400
    assert post(emulator, f"{OPENAI}/edits", GPT).status_code == 400


# Edits


def edit(emulator: Any, *files: tuple[str, bytes, str], path: str = OPENAI, **fields: str) -> httpx.Response:
    parts = [(name, ("x", io.BytesIO(data), media_type)) for name, data, media_type in files]
    return post(emulator, f"{path}/edits", data={**GPT, **fields}, files=parts)


@pytest.mark.parametrize("field", ["image", "image[]"])
def test_an_edit_takes_references_and_a_mask(emulator: Any, field: str) -> None:
    files = [(field, PNG, "image/png")] * 2 + [("mask", mask(Size(64, 48)), "image/png")]
    body = edit(emulator, *files, n="2", size="1024x1024", output_format="jpeg", output_compression="80")
    assert len(body.raise_for_status().json()["data"]) == 2
    [charge] = emulator.ledger()["charges"]
    assert len(charge["references"]) == 3


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "1 to 16"),
        ([("image[]", PNG, "image/png")] * 17, "1 to 16"),
        ([("picture", PNG, "image/png")], "takes no file"),
        ([("image", b"GIF89a", "image/gif")], "image"),
        ([("image", PNG, "application/octet-stream")], "calls itself"),
        ([("image", PNG[:200], "image/png")], "cut short"),
        ([("image", PNG, "image/png"), ("mask", mask(Size(64, 64)), "image/png")], "size of the first"),
        ([("image", PNG, "image/png"), ("mask", PNG, "image/png")], "with transparency"),
    ],
)
def test_an_edit_with_other_files_is_refused(
    emulator: Any, files: list[tuple[str, bytes, str]], words: str
) -> None:
    answer = edit(emulator, *files) if files else edit(emulator, ("mask", mask(Size(8, 8)), "image/png"))
    assert answer.status_code == 400
    assert words in str(answer.json()["error"])
    assert emulator.ledger()["charges"] == []


def test_input_fidelity_belongs_to_the_older_models(emulator: Any) -> None:
    image = ("image", PNG, "image/png")
    assert edit(emulator, image, model="gpt-image-1.5", input_fidelity="high").status_code == 200
    assert edit(emulator, image, model="gpt-image-1-mini", input_fidelity="low").status_code == 200
    assert edit(emulator, image, model="gpt-image-1-mini", input_fidelity="high").status_code == 400
    assert edit(emulator, image, input_fidelity="low").status_code == 400


# Readings, limits and faults


@pytest.mark.parametrize("shape", ["url", "data-uri"])
def test_compatible_servers_answer_otherwise(start_emulator: Callable[..., Any], shape: str) -> None:
    emulator = start_emulator(images_answer=shape, any_model=True)
    [item] = generate(emulator, model="sd-turbo", size="512x512").raise_for_status().json()["data"]
    if shape == "url":
        assert emulator.http.get(item["url"]).content.startswith(b"\x89PNG")
    else:
        assert item["b64_json"].startswith("data:image/png;base64,")


def test_a_limit_is_told_and_kept(start_emulator: Callable[..., Any]) -> None:
    emulator = start_emulator(rate_limit=2, rate_window=60.0)
    told = [generate(emulator).headers["x-ratelimit-remaining-requests"] for _ in range(2)]
    assert told == ["1", "0"]
    refused = generate(emulator)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(refused.headers["retry-after-ms"]) <= 60_001
    assert refused.headers["x-ratelimit-reset-requests"].endswith("ms")
    assert len(emulator.ledger()["charges"]) == 2


@pytest.mark.parametrize(
    ("fault", "status", "code", "charges"),
    [
        ("refuse", 400, "moderation_blocked", 1),
        ("refuse-400", 400, "moderation_blocked", 0),
        ("fail", 500, "upstream_error", 1),
        ("401", 401, "invalid_api_key", 0),
        ("402", 429, "insufficient_quota", 0),
        ("429", 429, "rate_limit_exceeded", 0),
        ("503", 503, "service_unavailable", 0),
        ("error-200", 200, "channel_not_available", 0),
        ("500-after-accept", 500, "internal_error", 1),
    ],
)
def test_faults_speak_openais_language(
    emulator: Any, fault: str, status: int, code: str, charges: int
) -> None:
    answer = generate(emulator, prompt=f"a cat [fault:{fault}]")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(emulator.ledger()["charges"]) == charges


@pytest.mark.parametrize("fault", ["drop-before", "drop-after-accept", "truncated"])
def test_connections_break(emulator: Any, fault: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        generate(emulator, prompt=f"a cat [fault:{fault}]")


@pytest.mark.parametrize(
    ("fault", "begin"), [("empty", b""), ("html", b"<!doctype"), ("wrong-format", b"\xff\xd8")]
)
def test_pictures_go_wrong(emulator: Any, fault: str, begin: bytes) -> None:
    [item] = generate(emulator, prompt=f"a cat [fault:{fault}]").json()["data"]
    data = base64.b64decode(item["b64_json"])
    assert data.startswith(begin)
    assert bool(data) is bool(begin)


# Jimmy AI


def jimmy(emulator: Any, **fields: object) -> httpx.Response:
    return post(emulator, f"{JIMMY}/generations", {"prompt": "a cat", **fields})


def test_the_documents_request_gives_its_answer(emulator: Any) -> None:
    answer = jimmy(emulator, model="gpt-image-2", size="1024x1024", n=1, quality="high")
    body = answer.raise_for_status().json()
    assert (body["code"], body["msg"], body["data"]["model"]) == (20000, "ok", "gpt-image-2")
    assert decoded(body["data"]["data"][0]["b64_json"]).width == 1024
    assert body["data"]["usage"]["total_tokens"] > 0
    [charge] = emulator.ledger()["charges"]
    assert (charge["dialect"], charge["quality"]) == ("jimmyai-sync", "high")


def test_what_is_not_said_has_the_documents_defaults(emulator: Any) -> None:
    jimmy(emulator).raise_for_status()
    [charge] = emulator.ledger()["charges"]
    assert (charge["model"], charge["size"], charge["quality"]) == ("gpt-image-2", "1024x1024", "low")


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"quality": "xhigh"},
        {"size": "auto"},
        {"size": "1920x1080"},
        {"model": "nano-banana"},
        {"output_compression": 50},
        {"moderation": "low"},
        {"response_format": "url"},
        {"stream": False},
        {"background": "none"},
    ],
)
def test_what_the_document_does_not_name_is_refused(emulator: Any, fields: dict[str, object]) -> None:
    answer = jimmy(emulator, **fields)
    assert answer.status_code == 400
    assert answer.json()["code"] == "40000"
    assert emulator.ledger()["charges"] == []


def test_edits_take_the_field_image_only(emulator: Any) -> None:
    good = edit(emulator, ("image", PNG, "image/png"), ("image", PNG, "image/png"), path=JIMMY)
    assert good.raise_for_status().json()["code"] == 20000
    assert edit(emulator, ("image[]", PNG, "image/png"), path=JIMMY).status_code == 400


def test_the_other_readings_of_the_document(start_emulator: Callable[..., Any]) -> None:
    emulator = start_emulator(
        jimmyai_sync_code="string", jimmyai_sync_sizes="three", errors_under_200=True, error_shape="openai"
    )
    assert jimmy(emulator).json()["code"] == "20000"
    refused = jimmy(emulator, size="1536x864")
    assert refused.status_code == 200
    assert refused.json()["error"]["code"] == "invalid_request"
