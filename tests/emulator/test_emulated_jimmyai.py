"""The dialect jimmyai over HTTP: what is accepted, what is refused, and what comes back."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvips
import yaml
from jsonschema import Draft202012Validator

from imgbuild.emulator.jimmyai import MODELS, PATH, WIDE_AT_4K

DOCUMENT = yaml.safe_load(
    (Path(__file__).parent.parent / "data/jimmyai-images.openapi.yaml").read_text(encoding="utf-8")
)
RATIOS = DOCUMENT["components"]["schemas"]["ImageGenerationRequest"]["properties"]["ratio"]["enum"]
GPT: dict[str, Any] = {"model": "gpt-image-2", "prompt": "a blue sphere"}
NANO: dict[str, Any] = {"model": "nano-banana-2", "prompt": "a red cube"}
URL = "https://example.com/input.png"
PNG = base64.b64encode(pyvips.Image.black(2, 2).write_to_buffer(".png")).decode()


@pytest.fixture
def client(emulator: Any) -> Iterator[httpx.Client]:
    with connect(emulator) as client:
        yield client


def connect(emulator: Any) -> httpx.Client:
    headers = {"Authorization": "Bearer sk-canary-7f3a"}
    return httpx.Client(base_url=emulator.url, headers=headers, trust_env=False, verify=False, timeout=60)


def submit(client: httpx.Client, fields: dict[str, Any]) -> httpx.Response:
    return client.post(PATH, json=fields)


def task_of(client: httpx.Client, fields: dict[str, Any]) -> dict[str, Any]:
    """What a query says of a finished task."""
    task_id = submit(client, fields).raise_for_status().json()["data"]["task_id"]
    task: dict[str, Any] = client.get(f"{PATH}/{task_id}").raise_for_status().json()["data"]
    return task


def test_the_paths_are_those_of_the_services_openapi_document() -> None:
    assert list(DOCUMENT["paths"]) == [PATH]
    described = DOCUMENT["components"]["schemas"]["ImageGenerationRequest"]["properties"]
    assert all(model in described["model"]["description"] for model in MODELS)
    assert all(ratio in described["resolution"]["description"] for ratio in WIDE_AT_4K)


def test_a_submission_is_answered_as_the_openapi_document_says(client: httpx.Client) -> None:
    answer = submit(client, GPT).json()
    schema = {**DOCUMENT, "$ref": "#/components/schemas/ImageGenerationResponse"}
    Draft202012Validator(schema).validate(answer)
    assert (answer["code"], answer["msg"]) == ("20000", "ok")
    assert set(answer["data"]) == {"task_id", "status", "model", "created_at"}
    assert answer["data"]["status"] == "queued"


def test_a_query_tells_of_the_finished_task(emulator: Any, client: httpx.Client) -> None:
    task = task_of(client, {**GPT, "quality": "high", "ratio": "16:9", "resolution": "2k"})
    assert task == {
        **task,
        "status": "completed",
        "progress": 100,
        "model": "gpt-image-2",
        "result": {"image_url": f"{emulator.url}/files/{task['task_id']}/1.png", "video_url": None},
        "error_message": None,
    }
    assert task["completed_at"] >= task["created_at"] > 1_700_000_000
    (charge,) = emulator.ledger()["charges"]
    assert (charge["dialect"], charge["size"], charge["quality"]) == ("jimmyai", "16:9 2k", "high")


def test_a_task_at_work_has_no_result_yet(start_emulator: Callable[..., Any]) -> None:
    with connect(start_emulator(latency=600)) as client:
        task = task_of(client, GPT)
        assert (task["status"], task["progress"], task["completed_at"]) == ("queued", 0, None)
        assert task["result"] == {"image_url": None, "video_url": None}


@pytest.mark.parametrize(
    ("fields", "pixels"),
    [
        (GPT, (1248, 832)),
        ({**GPT, "ratio": "9:21", "resolution": "1k"}, (672, 1568)),
        ({**GPT, "ratio": "16:9", "resolution": "2k"}, (2048, 1152)),
        ({**NANO, "ratio": "1:1"}, (1024, 1024)),
        ({**NANO, "ratio": "3:4", "resolution": "2k"}, (1728, 2368)),
    ],
)
def test_pictures_have_the_asked_shape(
    client: httpx.Client, fields: dict[str, Any], pixels: tuple[int, int]
) -> None:
    result = client.get(task_of(client, fields)["result"]["image_url"])
    image = pyvips.Image.new_from_buffer(result.content, "")
    assert (image.width, image.height) == pixels


@pytest.mark.parametrize("ratio", RATIOS)
def test_each_documented_ratio_is_accepted(client: httpx.Client, ratio: str) -> None:
    assert submit(client, {**GPT, "ratio": ratio}).status_code == 200
    assert submit(client, {**NANO, "ratio": ratio, "resolution": "4k"}).status_code == 200
    at_4k = submit(client, {**GPT, "ratio": ratio, "resolution": "4k"}).status_code
    assert at_4k == (200 if ratio in WIDE_AT_4K else 400)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": "x"}, "model"),
        ({"model": "gpt-image-2"}, "prompt"),
        ({**GPT, "model": "gpt-image-3"}, "gpt-image-3"),
        ({**GPT, "prompt": " "}, "prompt"),
        ({**GPT, "size": "1024x1024"}, "size"),
        ({**GPT, "n": 1}, "n:"),
        ({**GPT, "output_format": "png"}, "output_format"),
        ({**GPT, "background": "opaque"}, "background"),
        ({**GPT, "seed": 1}, "seed"),
        ({**GPT, "mask": PNG}, "mask"),
        ({**GPT, "ratio": "7:3"}, "ratio"),
        ({**GPT, "ratio": None}, "ratio"),
        ({**GPT, "resolution": "1K"}, "resolution"),
        ({**GPT, "resolution": "8k"}, "resolution"),
        ({**GPT, "resolution": "4k"}, "auto at 4k"),
        ({**GPT, "quality": "auto"}, "quality"),
        ({**NANO, "quality": "low"}, "quality"),
        ({**NANO, "model": "nano-banana", "resolution": "2k"}, "resolution"),
        ({**GPT, "images": URL}, "images"),
        ({**GPT, "images": ["refs/style.png"]}, "images"),
        ({**GPT, "images": ["é"]}, "images"),
        ({**GPT, "images": [base64.b64encode(b"<html>").decode()]}, "images"),
        ({**GPT, "images": [PNG[:40]]}, "images"),
        ({**GPT, "images": ["data:image/jpeg;base64," + PNG]}, "jpeg"),
    ],
)
def test_what_the_document_rules_out_is_refused_by_name_and_not_charged(
    emulator: Any, client: httpx.Client, fields: dict[str, Any], named: str
) -> None:
    answer = submit(client, fields)
    assert answer.status_code == 400
    body = answer.json()
    assert (body["code"], body["data"]) == ("40000", None)
    assert named in body["msg"]
    assert emulator.ledger()["charges"] == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert client.post(PATH, content=b"{}").status_code == 400


@pytest.mark.parametrize(
    ("reading", "good", "bad"),
    [
        ("either", ["data:image/png;base64," + PNG, PNG, URL], []),
        ("data-uri", ["data:image/png;base64," + PNG, URL], [PNG]),
        ("base64", [PNG, URL], ["data:image/png;base64," + PNG]),
    ],
)
def test_readings_of_base64_string(
    start_emulator: Callable[..., Any], reading: str, good: list[str], bad: list[str]
) -> None:
    emulator = start_emulator(jimmyai_references=reading)
    with connect(emulator) as client:
        assert submit(client, {**GPT, "images": good}).status_code == 200
        assert all(submit(client, {**GPT, "images": [text]}).status_code == 400 for text in bad)
    (charge,) = emulator.ledger()["charges"]
    assert charge["references"][-1] == URL
    assert all(each.startswith("sha256:") for each in charge["references"][:-1])


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer"}, {"Authorization": "sk-canary-7f3a"}])
def test_a_key_is_required(emulator: Any, header: dict[str, str]) -> None:
    for answer in (
        emulator.http.post(PATH, json=GPT, headers=header),
        emulator.http.get(f"{PATH}/task_x", headers=header),
    ):
        assert answer.status_code == 401
        assert answer.json()["code"] == "40100"
    assert emulator.ledger()["charges"] == []


def test_an_unknown_task_is_404(client: httpx.Client) -> None:
    answer = client.get(f"{PATH}/task_x")
    assert (answer.status_code, answer.json()["code"]) == (404, "40400")


def test_failed_tasks(start_emulator: Callable[..., Any], client: httpx.Client) -> None:
    task = task_of(client, {**GPT, "prompt": "[fault:fail]"})
    assert (task["status"], task["progress"]) == ("failed", 0)
    assert "failed to generate" in task["error_message"]
    with connect(start_emulator(task_error="object")) as other:
        task = task_of(other, {**GPT, "prompt": "[fault:refuse]"})
        assert task["error_message"]["code"] == "content_policy_violation"


def test_other_readings_of_the_documents(start_emulator: Callable[..., Any]) -> None:
    with connect(start_emulator(jimmyai_answers="integer-code")) as client:
        assert submit(client, GPT).json()["code"] == 20000
        assert submit(client, {**GPT, "n": 1}).json()["code"] == 40000
    with connect(start_emulator(jimmyai_answers="flat")) as client:
        task_id = submit(client, GPT).json()["task_id"]
        assert client.get(f"{PATH}/{task_id}").json()["status"] == "completed"
    with connect(start_emulator(jimmyai_answers="faq")) as client:
        task_id = submit(client, GPT).json()["data"]["taskId"]
        task = client.get(f"{PATH}/{task_id}").json()["data"]
        assert (task["status"], len(task["mediaUrl"]), task["error_msg"]) == ("success", 1, None)
    with connect(start_emulator(errors_under_200=True)) as client:
        answer = submit(client, {**GPT, "n": 1})
        assert (answer.status_code, answer.json()["code"]) == (200, "40000")
        assert submit(client, {**GPT, "prompt": "[fault:500]"}).status_code == 500
    with connect(start_emulator(error_shape="openai")) as client:
        assert submit(client, {**GPT, "n": 1}).json()["error"]["code"] == "invalid_request"


def test_a_business_error_never_carries_the_code_of_success(client: httpx.Client) -> None:
    answer = submit(client, {**GPT, "prompt": "[fault:error-200]"})
    assert (answer.status_code, answer.json()["code"]) == (200, "50000")
