"""The bill, the requests that are counted, and the lives of tasks."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.core.errors import StorageError
from imgbuild.core.image import Size
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.pictures import draw
from imgbuild.emulator.server import create_app
from imgbuild.emulator.tasks import Task, duration

ORDER = Order("uniall", "gpt-image-2", "a cube", Size(1024, 768), "png", "1024x768", "low")


def submit(emulator: Any, **fields: Any) -> dict[str, Any]:
    body = {"model": "gpt-image-2", "size": "1024x768", "prompt": "a cube", **fields}
    headers = {"Authorization": "Bearer sk-canary-7f3a"}
    task: dict[str, Any] = emulator.http.post("/v1/images/tasks", json=body, headers=headers).json()
    return task


def test_a_charge_tells_what_was_asked_for(emulator: Any) -> None:
    before = time.time()
    task = submit(emulator, n=2, quality="high", image="https://example.com/a.png")
    emulator.http.get(task["result_url"])
    ledger = emulator.ledger()
    (charge,) = ledger["charges"]
    assert before - 1 <= charge.pop("time") <= time.time() + 1
    assert charge == {
        "dialect": "uniall",
        "fault": None,
        "format": "png",
        "model": "gpt-image-2",
        "n": 2,
        "pixels": "1024x768",
        "prompt": "a cube",
        "quality": "high",
        "references": ["https://example.com/a.png"],
        "seconds": 0.0,
        "size": "1024x768",
        "state": "succeeded",
        "task_id": task["task_id"],
        "task_type": "image2image",
        "units": 2.0,
    }
    assert ledger["total"] == {"charges": 1, "images": 2, "units": 2.0}
    assert ledger["requests"] == {"GET /files/{task_id}/{name}": 1, "POST /v1/images/tasks": 1}


def test_a_reset_forgets_the_bill_and_the_tasks_but_uses_no_id_twice(emulator: Any) -> None:
    first = submit(emulator)
    emulator.reset()
    ledger = emulator.ledger()
    assert ledger == {"charges": [], "total": {"charges": 0, "images": 0, "units": 0.0}, "requests": {}}
    assert emulator.http.get(first["result_url"]).status_code == 404
    assert submit(emulator)["task_id"] != first["task_id"]


def test_two_emulators_never_give_the_same_picture(start_emulator: Callable[..., Any]) -> None:
    first, second = start_emulator(), start_emulator()
    pictures = {emulator.http.get(submit(emulator)["result_url"]).content for emulator in (first, second)}
    assert len(pictures) == 2


def test_the_price_and_the_file(start_emulator: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    emulator = start_emulator(price=0.04, ledger_file=file)
    ids = [submit(emulator, n=2, prompt="ein Würfel")["task_id"] for _ in range(2)]
    emulator.reset()
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["task_id"] for line in lines] == ids
    assert [line["units"] for line in lines] == [0.08, 0.08]
    assert lines[0]["prompt"] == "ein Würfel"


def test_a_file_that_cannot_be_written_is_found_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="ledger"):
        create_app(EmulatorOptions(ledger_file=tmp_path / "missing" / "ledger.jsonl"))


def test_a_task_goes_from_queued_to_succeeded() -> None:
    task = Task("task_1", ORDER, started=100.0, seconds=10.0)
    assert [task.state(now) for now in (99, 100, 101, 109.9, 110, 1000)] == [
        "queued",
        "queued",
        "processing",
        "processing",
        "succeeded",
        "succeeded",
    ]
    assert task.progress(103.7) == pytest.approx(0.37)


def test_a_task_takes_its_time(start_emulator: Callable[..., Any]) -> None:
    emulator = start_emulator(latency=0.2, jitter=0)
    task = submit(emulator)
    assert (task["status"], task["result_url"], task["metadata"]["result_count"]) == ("queued", None, 0)
    seen = {task["status"]}
    while task["status"] != "succeeded":
        path = f"/v1/images/tasks/{task['task_id']}"
        task = emulator.http.get(path, headers={"Authorization": "Bearer sk-canary-7f3a"}).json()["data"]
        seen.add(task["status"])
    assert seen <= {"queued", "processing", "succeeded"}
    assert task["progress"] == "100%"


@given(st.integers(1, 2**40), st.floats(0.001, 100), st.floats(0, 1))
def test_latencies_are_positive_and_the_same_in_every_run(number: int, latency: float, jitter: float) -> None:
    seconds = duration(number, latency, jitter, None)
    assert seconds > 0
    assert seconds == duration(number, latency, jitter, None)
    assert jitter > 0 or seconds == latency


def test_latencies_lie_around_the_latency() -> None:
    logs = [math.log(duration(number, 1.0, 0.25, None)) for number in range(1, 2001)]
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((log - mean) ** 2 for log in logs) / len(logs))
    assert mean == pytest.approx(0, abs=0.03)
    assert spread == pytest.approx(0.25, abs=0.03)


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=20), st.integers(1, 400), st.integers(1, 400), st.sampled_from(["png", "jpeg", "webp"])
)
def test_a_picture_has_exactly_its_size_and_depends_on_its_seed(
    seed: str, width: int, height: int, format: str
) -> None:
    picture = draw(seed, Size(width, height), format)
    image = pyvips.Image.new_from_buffer(picture, "")
    assert (image.width, image.height, image.bands) == (width, height, 3)
    assert picture == draw(seed, Size(width, height), format)


def test_pictures_of_different_seeds_differ_in_their_pixels() -> None:
    pixels = set()
    for number in range(50):
        image = pyvips.Image.new_from_buffer(draw(f"task_{number}", Size(64, 64), "png"), "")
        pixels.add(bytes(image.write_to_memory()))
    assert len(pixels) == 50
