"""How a run ends when it is interrupted, nobody listens, the disk is full, or imgbuild has a bug."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_folder import start


@pytest.fixture
def slow(imgbuild, start_emulator):
    """A project whose only image takes for ever; and its service."""
    service = start_emulator(latency=600)
    imgbuild.write(
        "version: 1\n"
        "providers:\n"
        f"  studio: {{type: uniall, base_url: '{service.url}', api_key: '${{K:-sk-canary-7f3a}}', poll_interval: 50ms}}\n"
        "defaults: {provider: studio, model: gpt-image-2, quality: low}\n"
        "images: {hero: {prompt: a harbour, size: 1024x1024, output: hero.png}}\n"
    )
    return imgbuild, service


@pytest.mark.parametrize(
    ("number", "code", "background"),
    [(signal.SIGINT, 130, False), (signal.SIGTERM, 143, False), (signal.SIGTERM, 143, True)],
)
def test_a_signal_ends_a_build_without_a_traceback(slow, number, code, background):
    shell, service = slow
    # A shell's background job ignores SIGINT.
    ignore = (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if background else None
    build = start(shell, "-m", "imgbuild", "build", preexec_fn=ignore)
    try:
        while not service.ledger()["charges"]:
            assert build.poll() is None, build.communicate()
            time.sleep(0.02)
        build.send_signal(number)
        _, stderr = build.communicate(timeout=30)
    finally:
        build.kill()
    assert build.returncode == code
    assert stderr.endswith("interrupted\n")
    assert "Traceback" not in stderr


def test_a_closed_pipe_is_no_error(project):
    for arguments in (["list"], ["plan", "--output-format", "json"], ["build"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = start(project, "-m", "imgbuild", *arguments, stdout=writer)
        os.close(writer)
        _, stderr = done.communicate(timeout=60)
        assert done.returncode == 0
        assert "Error" not in stderr
        assert "Traceback" not in stderr
    assert (project.root / "out/hero.png").is_file()


def test_closed_streams_are_no_error(project):
    command = f"{sys.executable} -m imgbuild build >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=project.root, env=project.environ, check=False)
    assert done.returncode == 0
    assert (project.root / "out/hero.png").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_below_standard_output_is_said_and_the_build_goes_on(project):
    with Path("/dev/full").open("w") as full:
        done = start(project, "-m", "imgbuild", "build", stdout=full)
        _, stderr = done.communicate(timeout=60)
    assert done.returncode == 1
    assert stderr.endswith("error: standard output cannot be written: No space left on device\n")
    assert (project.root / "out/hero.png").is_file()


BROKEN = """\
import os
class Broken:
    name, default_base_url, needs_key, local, engine = "broken", None, False, True, "broken 1"
    def capabilities(self, model):
        hidden_local = "a local value"
        keys = os.environ["BROKEN_API_KEY"], os.environ["STUDIO"], open(".env").read()
        raise ZeroDivisionError(f"the keys were {keys}")
    def known_models(self):
        return ()
"""


def test_a_bug_leaves_a_log_without_locals_or_keys(imgbuild, tmp_path):
    plugin = tmp_path / "plugin"
    information = plugin / "broken-1.dist-info"
    information.mkdir(parents=True)
    (plugin / "broken.py").write_text(BROKEN)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[imgbuild.providers]\nbroken = broken:Broken\n")
    imgbuild.write(
        "version: 1\nproviders: {b: {type: broken, api_key: '${STUDIO}'}}\n"
        "images: {hero: {prompt: a harbour, size: 64x64, output: hero.png}}\n"
    )
    path = os.pathsep.join([imgbuild.environ["PYTHONPATH"], str(plugin)])
    imgbuild.write("OTHER=sk-canary-4713\n", ".env")
    done = imgbuild("plan", PYTHONPATH=path, BROKEN_API_KEY="sk-canary-4711", STUDIO="sk-canary-4712")
    assert (done.returncode, done.stdout) == (5, "")
    assert "Traceback" not in done.stderr
    (log,) = (tmp_path / "home/state/imgbuild/log").iterdir()
    assert str(log) in done.stderr
    text = log.read_text()
    assert "ZeroDivisionError" in text
    assert "in capabilities" in text
    assert "sk-canary-" not in text + done.stderr
