"""`imgbuild emulate`: a service to try things on, and what its first lines promise."""

from __future__ import annotations

import re
import signal

import httpx
import pytest
from project_folder import start

from imgbuild.emulator.options import EmulatorOptions, with_readings


def test_it_serves_until_it_is_interrupted(imgbuild, tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    options = ("--port", "0", "--latency", "0", "--ledger", str(ledger))
    server = start(imgbuild, "-m", "imgbuild", "emulate", *options)
    try:
        assert server.stdout is not None
        url = re.fullmatch(r"emulating at (http://127\.0\.0\.1:\d+)\n", server.stdout.readline())[1]
        example = [server.stdout.readline() for _ in range(5)]
        providers = "".join(example[2:5]).replace("\n  ", "\n")[2:]
        imgbuild.write(
            f"version: 1\n{providers}images: {{hero: {{prompt: a harbour, size: 1024x1024, output: hero.png}}}}\n"
        )
        done = imgbuild("build")
        assert done.returncode == 0, done.stderr
        assert len(httpx.get(f"{url}/_emulate/ledger", trust_env=False).json()["charges"]) == 1
        assert len(ledger.read_text().splitlines()) == 1
        server.send_signal(signal.SIGINT)
        _, stderr = server.communicate(timeout=30)
        assert (server.returncode, stderr) == (130, "interrupted\n")
    finally:
        server.kill()
        server.communicate()


def test_faults_can_be_listed(imgbuild):
    done = imgbuild("emulate", "--fault", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert any(line.startswith("refuse-400 ") for line in done.stdout.splitlines())


def test_mistakes_are_one_line(imgbuild):
    for arguments, words in (
        (["--fault", "nonsense"], 'unknown fault "nonsense"'),
        (["--port", "99999"], '"99999" is not a port'),
        (["--latency", "soon"], '"soon" must be a number with its unit'),
    ):
        done = imgbuild("emulate", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ("error_shap=flat", 'did you mean "error_shape"?'),
        ("error_shape=round", "allowed: flat, openai"),
        ("submit_enveloped=yes", "allowed: true, false"),
        ("price=cheap", "must be a number"),
    ],
)
def test_a_reading_that_does_not_exist_is_exit_2(imgbuild, reading: str, words: str):
    done = imgbuild("emulate", "--port", "0", "--reading", reading)
    assert done.returncode == 2
    assert words in done.stderr


def test_readings_become_options():
    words = ["error-shape=openai", "submit_enveloped=true", "price=2.5", "rate_limit=3"]
    options = with_readings(EmulatorOptions(), words)
    assert (options.error_shape, options.submit_enveloped, options.price, options.rate_limit) == (
        "openai",
        True,
        2.5,
        3,
    )
