"""The dialect kyy over HTTP: two ways to submit, one to ask, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import pyvips

BASE = "/kyyReactApiServer"
GPT: dict[str, Any] = {"model": "gpt-image-2", "prompt": "a blue sphere"}
BY_RESOLUTION: dict[str, Any] = {"model": "gpt-image-2-r", "prompt": "a blue sphere"}
NANO: dict[str, Any] = {"model": "nano-banana", "prompt": "a red cube"}
PRO: dict[str, Any] = {"model": "nano-banana-pro", "prompt": "a red cube"}
URL = "https://example.com/input.png"


@pytest.fixture
def client(emulator: Any) -> Iterator[httpx.Client]:
    with connect(emulator) as client:
        yield client


def connect(emulator: Any) -> httpx.Client:
    headers = {"Authorization": "Bearer sk-canary-7f3a"}
    return httpx.Client(base_url=emulator.url, headers=headers, trust_env=False, verify=False, timeout=60)


def submit(client: httpx.Client, fields: dict[str, Any], base: str = BASE) -> httpx.Response:
    route = "banana" if fields.get("model", "").startswith("nano") else "image2"
    return client.post(f"{base}/v1/{route}/images", json=fields)


def task_of(client: httpx.Client, fields: dict[str, Any], base: str = BASE) -> dict[str, Any]:
    """What a query says of a finished task."""
    task_id = submit(client, fields, base).raise_for_status().json()["id"]
    task: dict[str, Any] = client.get(f"{base}/v1/result/{task_id}").raise_for_status().json()
    return task


@pytest.mark.parametrize("base", [BASE, ""])
def test_answers_are_flat(emulator: Any, client: httpx.Client, base: str) -> None:
    # The body that the document shows.
    example = {**GPT, "quality": "high", "ratio": "16:9", "resolution": "2k", "image_urls": []}
    accepted = submit(client, example, base).json()
    assert accepted == {
        "id": accepted["id"],
        "object": "image",
        "created": accepted["created"],
        "model": "gpt-image-2",
        "status": "queued",
        "error": None,
    }
    task = client.get(f"{base}/v1/result/{accepted['id']}").json()
    assert task == {
        **accepted,
        "created": task["created"],
        "object": "image.generation",
        "status": "completed",
        "image_url": f"{emulator.url}/files/{accepted['id']}/1.png",
    }
    (charge,) = emulator.ledger()["charges"]
    assert (charge["dialect"], charge["size"], charge["quality"]) == ("kyy", "16:9 2k", "high")


@pytest.mark.parametrize(
    ("fields", "pixels"),
    [
        (GPT, (1024, 1024)),
        ({**GPT, "size": "1536x1024"}, (1536, 1024)),
        ({**GPT, "size": "1024x1536", "ratio": "21:9", "resolution": "4k"}, (1024, 1536)),
        ({**GPT, "ratio": "9:16"}, (768, 1360)),
        ({**GPT, "ratio": "16:9", "resolution": "2k"}, (2048, 1152)),
        ({**BY_RESOLUTION, "ratio": "2:1", "resolution": "1k"}, (1440, 720)),
        ({**NANO, "size": "16:9"}, (1344, 768)),
        ({**NANO, "size": "16:9", "resolution": "4k"}, (1344, 768)),
        ({**PRO, "size": "4:5", "resolution": "2k"}, (1792, 2304)),
    ],
)
def test_pictures_have_the_asked_shape(
    client: httpx.Client, fields: dict[str, Any], pixels: tuple[int, int]
) -> None:
    image = pyvips.Image.new_from_buffer(client.get(task_of(client, fields)["image_url"]).content, "")
    assert (image.width, image.height) == pixels


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prompt": "x"}, "model"),
        ({**GPT, "prompt": ""}, "prompt"),
        ({**GPT, "model": "gpt-image-3"}, "gpt-image-3"),
        ({**NANO, "model": "nano-banana-3"}, "nano-banana-3"),
        ({**GPT, "n": 1}, "n:"),
        ({**GPT, "seed": 1}, "seed"),
        ({**GPT, "quality": "auto"}, "quality"),
        ({**GPT, "size": "1920x1080"}, "size"),
        ({**GPT, "size": "16:9"}, "size"),
        ({**GPT, "size": None}, "size"),
        ({**GPT, "ratio": "auto"}, "ratio"),
        ({**GPT, "ratio": "3:1"}, "ratio"),
        ({**GPT, "resolution": "2k"}, "ratio: required"),
        ({**GPT, "ratio": "1:1", "resolution": "2K"}, "resolution"),
        ({**GPT, "image_urls": ["data:image/png;base64,AAAA"]}, "image_urls"),
        ({**GPT, "image_urls": [URL] * 7}, "image_urls"),
        ({**BY_RESOLUTION, "image_urls": [URL] * 17}, "image_urls"),
        ({**BY_RESOLUTION, "ratio": "1:1", "resolution": "2k"}, "resolution"),
        ({**BY_RESOLUTION, "size": "2048x1152"}, "1k at most"),
        ({**NANO, "size": "1024x1024"}, "size"),
        ({**NANO, "size": "2:1"}, "size"),
        ({**NANO, "ratio": "16:9"}, "ratio"),
        ({**NANO, "quality": "low"}, "quality"),
        ({**NANO, "image_urls": [URL] * 7}, "image_urls"),
    ],
)
def test_what_the_documents_rule_out_is_refused_by_name_and_not_charged(
    emulator: Any, client: httpx.Client, fields: dict[str, Any], named: str
) -> None:
    answer = submit(client, fields)
    assert answer.status_code == 400
    assert named in answer.json()["error"]
    assert emulator.ledger()["charges"] == []


@pytest.mark.parametrize("fields", [GPT, PRO])
def test_references_are_urls(emulator: Any, client: httpx.Client, fields: dict[str, Any]) -> None:
    assert submit(client, {**fields, "image_urls": [URL] * 6}).status_code == 200
    assert emulator.ledger()["charges"][0]["references"] == [URL] * 6


def test_a_model_belongs_to_its_route(client: httpx.Client) -> None:
    assert client.post(f"{BASE}/v1/banana/images", json=GPT).status_code == 400
    assert client.post(f"{BASE}/v1/image2/images", json=NANO).status_code == 400


def test_a_key_is_required(emulator: Any) -> None:
    for answer in (
        emulator.http.post(f"{BASE}/v1/image2/images", json=GPT),
        emulator.http.post(f"{BASE}/v1/banana/images", json=NANO),
        emulator.http.get(f"{BASE}/v1/result/task_x"),
    ):
        assert answer.status_code == 401
        assert isinstance(answer.json()["error"], str)
    assert emulator.ledger()["charges"] == []


def test_an_unknown_task_is_404(client: httpx.Client) -> None:
    assert client.get(f"{BASE}/v1/result/task_x").status_code == 404


def test_a_failed_task(start_emulator: Callable[..., Any], client: httpx.Client) -> None:
    task = task_of(client, {**GPT, "prompt": "[fault:fail]"})
    assert (task["status"], task["image_url"]) == ("failed", None)
    assert "failed to generate" in task["error"]
    with connect(start_emulator(task_error="object")) as other:
        assert task_of(other, {**PRO, "prompt": "[fault:fail]"})["error"]["code"] == "upstream_error"


def test_other_readings_of_the_documents(start_emulator: Callable[..., Any]) -> None:
    square = {**GPT, "ratio": "1:1", "resolution": "4k"}
    with connect(start_emulator(kyy_4k_ratios="wide")) as client:
        assert "4k" in submit(client, square).json()["error"]
        assert submit(client, {**square, "ratio": "16:9"}).status_code == 200
    with connect(start_emulator(error_shape="openai", errors_under_200=True)) as client:
        assert submit(client, square).status_code == 200
        refused = submit(client, {**square, "ratio": "auto"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (200, "invalid_request")
