"""Serving: the address, the port, the signals, and what is said when something is missing."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx
import pytest

from imgbuild.core.errors import UsageError
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import create_app, running, serve

SERVE = """
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import serve
serve(EmulatorOptions(), port=0, on_ready=lambda url: print(url, flush=True))
"""
WITHOUT_EXTRA = """
import sys
sys.modules.update(dict.fromkeys(["starlette", "uvicorn", "python_multipart"]))
sys.meta_path.insert(0, type("Gone", (), {"find_spec": staticmethod(
    lambda name, path=None, target=None: None)}))
from imgbuild.core.errors import UsageError
from imgbuild.emulator.faults import known_faults
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import serve
try:
    serve(EmulatorOptions(), port=0)
except UsageError as error:
    print(error, error.remedy, sep="|")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port_is_reported_and_answers_at_once(host: str) -> None:
    try:
        with running(EmulatorOptions(), host) as url:
            assert httpx.get(url + "/_emulate/ledger", trust_env=False).status_code == 200
    except UsageError:
        assert host == "::1", "only IPv6 may be missing on a machine"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(stop: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(url + "/_emulate/ledger", trust_env=False).status_code == 200
        process.send_signal(stop)
        assert process.wait(30) != 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_a_port_that_is_taken_is_one_line_with_a_remedy() -> None:
    with running(EmulatorOptions()) as url, pytest.raises(UsageError) as caught:
        serve(EmulatorOptions(), port=int(url.rpartition(":")[2]))
    assert "in use" in str(caught.value)
    assert caught.value.remedy is not None
    assert "--port" in caught.value.remedy


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [("127.0.0.1", 70_000, "70000"), ("127.0.0.1", -1, "-1"), ("no such host", 0, "no such host")],
)
def test_an_impossible_address_is_a_usage_error(host: str, port: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        serve(EmulatorOptions(), host, port)


def test_an_unknown_fault_is_found_at_the_start() -> None:
    with pytest.raises(UsageError, match="gremlins"):
        create_app(EmulatorOptions(fault=("gremlins",)))


def test_a_missing_extra_is_named_with_the_way_to_install_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA], capture_output=True, text=True, check=True, timeout=60
    )
    message, remedy = done.stdout.strip().split("|")
    assert "starlette" in message
    assert remedy == 'pip install "imgbuild[emulate]"'


def test_stopping_does_not_wait_for_a_client_that_hangs() -> None:
    with running(EmulatorOptions(latency=0)) as url:
        body = {"model": "gpt-image-2", "size": "1024x1024", "prompt": "[fault:hang-after-accept]"}
        headers = {"Authorization": "Bearer sk-canary-7f3a"}
        with httpx.Client(trust_env=False, timeout=0.1) as client, pytest.raises(httpx.ReadTimeout):
            client.post(url + "/v1/images/tasks", json=body, headers=headers)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
