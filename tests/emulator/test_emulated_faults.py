"""Each fault, seen as a client sees it, with the bill beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import pyvips

from imgbuild.core.errors import UsageError
from imgbuild.emulator.faults import FaultBook, known_faults, parse_rule
from imgbuild.emulator.tasks import STRANGE_STATUS


class Client:
    """A client that knows three requests."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator

    def submit(self, prompt: str, timeout: float = 60) -> httpx.Response:
        fields = {"model": "gpt-image-2", "size": "1024x1024", "prompt": prompt}
        return self._ask("POST", "/v1/images/tasks", json=fields, timeout=timeout)

    def query(self, task: dict[str, Any]) -> httpx.Response:
        return self._ask("GET", f"/v1/images/tasks/{task['task_id']}")

    def fetch(self, task: dict[str, Any]) -> httpx.Response:
        answer: httpx.Response = self.emulator.http.get(task["result_url"])
        return answer

    def charges(self) -> int:
        return len(self.emulator.ledger()["charges"])

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": "Bearer sk-canary-7f3a"}
        answer: httpx.Response = self.emulator.http.request(method, path, headers=headers, **options)
        return answer


@pytest.fixture
def client(emulator: Any) -> Client:
    return Client(emulator)


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("refuse-400", 400, "content policy"),
        ("401", 401, "token"),
        ("402", 402, "balance"),
        ("429", 429, "requests"),
        ("500", 500, "wrong"),
        ("503", 503, "overloaded"),
        ("error-200", 200, "channel"),
    ],
)
def test_a_refused_submission_is_not_charged(client: Client, fault: str, status: int, words: str) -> None:
    answer = client.submit(f"a cube [fault:{fault}]")
    assert answer.status_code == status
    body = answer.json()
    assert body["code"] != "success"
    assert words in body["message"]
    assert body["data"] is None
    assert client.charges() == 0


def test_429_says_when_to_come_back(client: Client) -> None:
    assert client.submit("[fault:429]").headers["retry-after"] == "1"
    assert "retry-after" not in client.submit("[fault:503]").headers


def test_a_connection_dropped_before_the_acceptance_costs_nothing(client: Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.submit("[fault:drop-before]")
    assert client.charges() == 0


def test_a_connection_dropped_after_the_acceptance_is_charged(client: Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.submit("[fault:drop-after-accept]")
    assert client.charges() == 1


def test_an_answer_that_never_comes_is_charged(client: Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.submit("[fault:hang-after-accept]", timeout=0.2)
    assert client.charges() == 1


def test_500_after_the_acceptance_is_charged(client: Client) -> None:
    assert client.submit("[fault:500-after-accept]").status_code == 500
    assert client.charges() == 1


@pytest.mark.parametrize(("fault", "words"), [("fail", "failed to generate"), ("refuse", "content policy")])
def test_a_failed_task_says_why(client: Client, fault: str, words: str) -> None:
    task = client.submit(f"[fault:{fault}]").json()
    assert task["status"] == "failed"
    assert task["result_url"] is None
    assert words in task["error"]
    (charge,) = client.emulator.ledger()["charges"]
    assert (charge["state"], charge["units"], charge["fault"]) == ("failed", 1.0, fault)


def test_a_failed_task_can_be_refunded(start_emulator: Callable[..., Any]) -> None:
    client = Client(start_emulator(refund_failed=True))
    client.submit("[fault:fail]")
    client.submit("a cube")
    assert client.emulator.ledger()["total"] == {"charges": 2, "images": 2, "units": 1.0}


def test_an_unknown_status_passes(client: Client) -> None:
    task = client.submit("[fault:unknown-status]").json()
    seen = [task["status"], *(client.query(task).json()["data"]["status"] for _ in range(3))]
    assert seen == [STRANGE_STATUS, STRANGE_STATUS, "succeeded", "succeeded"]


def test_queries_that_break_down_recover(client: Client) -> None:
    task = client.submit("[fault:poll-500]").json()
    assert [client.query(task).status_code for _ in range(3)] == [500, 500, 200]
    task = client.submit("[fault:poll-drop]").json()
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            client.query(task)
    assert client.query(task).status_code == 200


def test_slow_takes_at_least_five_seconds(client: Client) -> None:
    assert client.submit("[fault:slow]").json()["status"] == "queued"
    assert client.emulator.ledger()["charges"][0]["seconds"] >= 5


def test_result_links_that_do_not_work(client: Client) -> None:
    expired = client.submit("[fault:expired-link]").json()
    assert [client.fetch(expired).status_code for _ in range(2)] == [404, 404]
    flaky = client.submit("[fault:flaky-link]").json()
    assert [client.fetch(flaky).status_code for _ in range(2)] == [404, 200]


def test_result_bodies_that_are_not_the_image(client: Client) -> None:
    truncated = client.submit("[fault:truncated]").json()
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        client.fetch(truncated)
    empty = client.fetch(client.submit("[fault:empty]").json())
    assert (empty.status_code, empty.content) == (200, b"")
    page = client.fetch(client.submit("[fault:html]").json())
    assert page.headers["content-type"] == "image/png"
    assert page.content.startswith(b"<!doctype html>")


def test_results_that_are_another_image_than_asked(client: Client) -> None:
    other = client.fetch(client.submit("[fault:wrong-format]").json())
    assert other.headers["content-type"] == "image/png"
    assert other.content.startswith(b"\xff\xd8\xff")
    small = client.fetch(client.submit("[fault:wrong-size]").json())
    assert pyvips.Image.new_from_buffer(small.content, "").width == 768


def test_a_flag_strikes_the_first_submissions_only(start_emulator: Callable[..., Any]) -> None:
    client = Client(start_emulator(fault=("429:2", "500:1")))
    assert [client.submit("a cube").status_code for _ in range(4)] == [429, 429, 500, 200]
    client.emulator.reset()
    assert client.submit("a cube").status_code == 429


def test_a_mark_with_a_count_is_counted_by_prompt(client: Client) -> None:
    for prompt in ("[fault:503:1] a cube", "[fault:503:1] a sphere"):
        assert [client.submit(prompt).status_code for _ in range(2)] == [503, 200]


def test_an_unknown_mark_is_refused_by_name(client: Client) -> None:
    answer = client.submit("[fault:gremlins]")
    assert answer.status_code == 400
    assert "gremlins" in answer.json()["message"]


@pytest.mark.parametrize("text", ["gremlins", "", "429:0", "429:-1", "429:x", "429:", ":2", "429:2:3"])
def test_an_unknown_flag_is_an_error_that_lists_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        FaultBook([text])
    assert caught.value.remedy is not None
    assert "drop-after-accept" in caught.value.remedy


def test_every_known_fault_can_be_asked_for_and_says_what_it_does() -> None:
    for name, summary in known_faults().items():
        assert parse_rule(name).fault.name == name
        assert summary
        assert "\n" not in summary
