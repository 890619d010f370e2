"""The dialect uniall over HTTP: what is accepted, what is refused, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import pyvips

from imgbuild.emulator.uniall_models import FORMATS, GPT_IMAGE_SIZES

GPT: dict[str, Any] = {"model": "gpt-image-2", "prompt": "a blue sphere", "size": "1024x768"}
NANO: dict[str, Any] = {"model": "NanoBanana2-1K", "prompt": "a red cube"}
URL = "https://example.com/input.png"
PNG = pyvips.Image.black(2, 2).write_to_buffer(".png")


@pytest.fixture
def client(emulator: Any) -> Iterator[httpx.Client]:
    with connect(emulator) as client:
        yield client


def connect(emulator: Any) -> httpx.Client:
    headers = {"Authorization": "Bearer sk-canary-7f3a"}
    return httpx.Client(base_url=emulator.url, headers=headers, trust_env=False, verify=False, timeout=60)


def submit(client: httpx.Client, fields: dict[str, Any]) -> httpx.Response:
    return client.post("/v1/images/tasks", json=fields)


def test_a_submission_is_answered_by_a_bare_task_and_a_query_by_an_enveloped_one(
    emulator: Any, client: httpx.Client
) -> None:
    task = submit(client, {**GPT, "response_format": "url"}).json()
    assert task == {
        "task_id": task["task_id"],
        "status": "succeeded",
        "progress": "100%",
        "result_url": f"{emulator.url}/files/{task['task_id']}/1.png",
        "metadata": {"task_type": "text2image", "result_count": 1},
        "error": None,
    }
    answer = client.get(f"/v1/images/tasks/{task['task_id']}").json()
    assert answer == {"code": "success", "message": "", "data": task}


def test_several_results_are_listed_in_the_metadata(client: httpx.Client) -> None:
    task = submit(client, {**GPT, "n": 3}).json()
    assert task["metadata"]["result_count"] == 3
    urls = task["metadata"]["result_urls"]
    assert task["result_url"] == urls[0]
    assert len({client.get(url).content for url in urls}) == 3


@pytest.mark.parametrize("size", sorted(GPT_IMAGE_SIZES))
def test_each_documented_size_is_accepted(client: httpx.Client, size: str) -> None:
    assert submit(client, {**GPT, "size": size}).status_code == 200


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_a_result_has_the_size_and_the_format_that_were_asked_for(client: httpx.Client, format: str) -> None:
    task = submit(client, {**GPT, "size": "1360x768", "output_format": format}).json()
    result = client.get(task["result_url"])
    assert result.headers["content-type"] == f"image/{format}"
    image = pyvips.Image.new_from_buffer(result.content, "")
    assert (image.width, image.height) == (1360, 768)
    assert format in image.get("vips-loader")


@pytest.mark.parametrize(
    ("model", "ratio", "pixels"),
    [
        ("NanoBanana", None, (1024, 1024)),
        ("NanoBanana", "16:9", (1344, 768)),
        ("NanoBanana2-0.5K", "16:9", (688, 384)),
        ("NanoBanana2-1K", "9:16", (768, 1376)),
        ("NanoBananaPro-2K", "21:9", (3168, 1344)),
    ],
)
def test_nano_results_come_in_buckets(
    client: httpx.Client, model: str, ratio: str | None, pixels: tuple[int, int]
) -> None:
    fields = {"model": model, "prompt": "x"} | ({"aspect_ratio": ratio} if ratio else {})
    result = client.get(submit(client, fields).json()["result_url"])
    image = pyvips.Image.new_from_buffer(result.content, "")
    assert (image.width, image.height) == pixels


def test_two_generations_of_one_request_differ_and_one_generation_stays_itself(client: httpx.Client) -> None:
    first, second = (submit(client, GPT).json()["result_url"] for _ in range(2))
    assert client.get(first).content == client.get(first).content
    assert client.get(first).content != client.get(second).content


@pytest.mark.parametrize(
    "fields",
    [
        {**NANO, "task_type": "text2image", "aspect_ratio": "1:1", "n": 1, "response_format": "url"},
        {**NANO, "task_type": "image2image", "image": URL, "output_format": "jpeg"},
        {**NANO, "size": "1024x1024"},
        {**GPT, "task_type": "image2image", "images": [URL, URL], "quality": "high"},
        {**GPT, "n": 8, "quality": None},
    ],
)
def test_what_the_document_shows_is_accepted(client: httpx.Client, fields: dict[str, Any]) -> None:
    assert submit(client, fields).status_code == 200


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": "x"}, "model"),
        ({**GPT, "model": "gpt-image-3"}, "gpt-image-3"),
        ({**GPT, "prompt": " "}, "prompt"),
        ({**GPT, "seed": 1}, "seed"),
        ({**GPT, "negative_prompt": "blur"}, "negative_prompt"),
        ({**GPT, "size": None}, "size"),
        ({**GPT, "size": "1000x1000"}, "1000x1000"),
        ({**GPT, "size": "auto"}, "auto"),
        ({**GPT, "aspect_ratio": "1:1"}, "aspect_ratio"),
        ({**GPT, "quality": "auto"}, "quality"),
        ({**GPT, "n": 0}, "n:"),
        ({**GPT, "n": 9}, "n:"),
        ({**GPT, "n": "2"}, "n:"),
        ({**GPT, "n": True}, "n:"),
        ({**GPT, "output_format": "gif"}, "output_format"),
        ({**GPT, "response_format": "b64_json"}, "response_format"),
        ({**GPT, "task_type": "edit"}, "task_type"),
        ({**GPT, "task_type": "image2image"}, "image"),
        ({**GPT, "image": "refs/style.png"}, "image"),
        ({**GPT, "images": []}, "images"),
        ({**GPT, "image": URL, "images": [URL]}, "images"),
        ({**NANO, "quality": "low"}, "quality"),
        ({**NANO, "n": 2}, "n:"),
        ({**NANO, "aspect_ratio": "2:1"}, "2:1"),
        ({**NANO, "output_format": "webp"}, "output_format"),
        ({**NANO, "model": "NanoBananaPro-4K", "output_format": "webp"}, "output_format"),
    ],
)
def test_what_the_document_rules_out_is_refused_by_name_and_not_charged(
    emulator: Any, client: httpx.Client, fields: dict[str, Any], named: str
) -> None:
    answer = submit(client, fields)
    assert answer.status_code == 400
    body = answer.json()
    assert set(body) == {"code", "message", "data"}
    assert body["data"] is None
    assert named in body["message"]
    assert emulator.ledger()["charges"] == []


@pytest.mark.parametrize("model", sorted(FORMATS))
def test_webp_is_for_those_models_that_have_it(client: httpx.Client, model: str) -> None:
    fields = {**GPT, "model": model, "output_format": "webp"}
    expected = 200 if model in ("gpt-image-2", "NanoBanana") else 400
    assert submit(client, fields).status_code == expected


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"x=1", "text/plain"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=b"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(client: httpx.Client, body: bytes, content_type: str) -> None:
    answer = client.post("/v1/images/tasks", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


def test_files_are_uploaded_as_multipart(emulator: Any, client: httpx.Client) -> None:
    files = [("image", ("a.png", PNG, "image/png")), ("image", ("b.png", PNG, "image/png"))]
    answer = client.post("/v1/images/tasks", data={**GPT, "n": "2"}, files=files)
    assert answer.json()["metadata"] == {
        "task_type": "image2image",
        "result_count": 2,
        "result_urls": [answer.json()["result_url"], answer.json()["result_url"].replace("/1.", "/2.")],
    }
    (charge,) = emulator.ledger()["charges"]
    assert len(charge["references"]) == 2
    assert all(reference.startswith("sha256:") for reference in charge["references"])


@pytest.mark.parametrize(
    ("name", "data", "fields"),
    [
        ("image", b"", GPT),
        ("image", b"<html>", GPT),
        ("mask", PNG, GPT),
        ("images", PNG, GPT),
        ("image", PNG, {**GPT, "seed": "1"}),
        ("image", PNG, {**GPT, "image": URL}),
        ("image", PNG, {**GPT, "prompt": ["one", "two"]}),
    ],
)
def test_a_multipart_form_is_checked_as_strictly(
    client: httpx.Client, name: str, data: bytes, fields: dict[str, Any]
) -> None:
    answer = client.post("/v1/images/tasks", data=fields, files=[(name, ("a.png", data, "image/png"))])
    assert answer.status_code == 400


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer"}, {"Authorization": "sk-canary-7f3a"}])
def test_a_key_is_required_but_for_results(emulator: Any, header: dict[str, str]) -> None:
    for answer in (
        emulator.http.post("/v1/images/tasks", json=GPT, headers=header),
        emulator.http.get("/v1/images/tasks/task_x", headers=header),
    ):
        assert answer.status_code == 401
        assert answer.json()["code"] == "invalid_api_key"
    assert emulator.ledger()["charges"] == []


def test_an_unknown_task_file_or_route_is_404(client: httpx.Client) -> None:
    task = submit(client, GPT).json()["task_id"]
    for path in ("/v1/images/tasks/task_x", "/v1/images/elsewhere", "/"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert set(answer.json()) == {"code", "message", "data"}
    for path in (f"/files/{task}/2.png", f"/files/{task}/1.jpeg", "/files/task_x/1.png"):
        assert client.get(path).status_code == 404


def test_other_readings_of_the_document(start_emulator: Callable[..., Any]) -> None:
    readings = {"error_shape": "openai", "task_error": "object", "submit_enveloped": True}
    with connect(start_emulator(**readings, native_statuses=True)) as client:
        answer = submit(client, GPT).json()
        assert answer["code"] == "success"
        assert answer["data"]["status"] == "SUCCESS"
        failed = submit(client, {**GPT, "prompt": "[fault:fail]"}).json()["data"]
        assert failed["status"] == "FAILURE"
        assert failed["error"]["code"] == "upstream_error"
        refused = submit(client, NANO | {"quality": "low"})
        assert refused.status_code == 400
        assert refused.json()["error"]["type"] == "invalid_request_error"
