"""On a real terminal: colours, a live display, and questions."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading

MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")


def on_a_terminal(shell, *arguments: str, answer: str = "", **variables: str) -> tuple[int, str]:
    """Exit code and everything that the terminal saw."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def listen() -> None:
        # Linux reports the end of a terminal as an error.
        try:
            while data := os.read(ours, 65536):
                seen.append(data)
        except OSError:
            pass

    build = subprocess.Popen(
        [sys.executable, "-m", "imgbuild", *arguments],
        cwd=shell.root,
        env={**shell.environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    listener = threading.Thread(target=listen)
    listener.start()
    os.write(ours, answer.encode())
    code = build.wait(timeout=60)
    listener.join(timeout=10)
    os.close(ours)
    return code, b"".join(seen).decode()


def plain(text: str) -> str:
    return MOVES.sub("", STYLES.sub("", text)).replace("\r", "")


def test_a_build_shows_what_runs_and_cleans_up_after_itself(project):
    code, seen = on_a_terminal(project, "build")
    assert code == 0
    assert "\x1b[32m" in seen
    assert "/2 done" in plain(seen)
    assert plain(seen).splitlines()[-1].startswith("2 generated in ")
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")


def test_no_color_leaves_the_live_display_and_no_styles(project):
    _, seen = on_a_terminal(project, "build", NO_COLOR="1")
    assert "/2 done" in seen
    assert not [style for style in STYLES.findall(seen) if style != "\x1b[0m"]
    _, seen = on_a_terminal(project, "plan", "--no-color")
    assert "\x1b" not in seen


def test_a_dumb_terminal_gets_plain_lines(project):
    code, seen = on_a_terminal(project, "build", TERM="dumb")
    assert code == 0
    assert "\x1b" not in seen
    assert "generated  hero  out/hero.png" in seen


def test_quiet_on_a_terminal_is_quiet(project):
    assert on_a_terminal(project, "build", "-q") == (0, "")


def spending(shell, service) -> None:
    shell.write(
        "version: 1\n"
        "providers:\n"
        f"  studio: {{type: uniall, base_url: '{service.url}', api_key: '${{K:-sk-canary-7f3a}}', poll_interval: 50ms,\n"
        "    pricing: {unit: USD, per_image: {low: 0.5}}}\n"
        "defaults: {provider: studio, model: gpt-image-2, quality: low}\n"
        "budget: {confirm_above: 0.1}\n"
        "images: {hero: {prompt: a harbour, size: 1024x1024, output: hero.png}}\n"
    )


def test_a_build_asks_before_it_spends(imgbuild, start_emulator):
    service = start_emulator(latency=0)
    spending(imgbuild, service)
    code, seen = on_a_terminal(imgbuild, "build", answer="n\n")
    assert code == 4
    assert "+ hero  new, generate 1024x1024  about 0.50 USD" in plain(seen)
    assert "[y/N]" in seen
    assert not service.ledger()["charges"]
    code, seen = on_a_terminal(imgbuild, "build", answer="y\n")
    assert code == 0, seen
    assert "0.50 USD" in plain(seen).splitlines()[-1]
    assert len(service.ledger()["charges"]) == 1


def test_without_a_terminal_nobody_is_asked(imgbuild, start_emulator):
    service = start_emulator(latency=0)
    spending(imgbuild, service)
    done = imgbuild("build")
    assert done.returncode == 4
    assert "--yes" in done.stderr
    assert not service.ledger()["charges"]
    assert imgbuild("build", "--yes").returncode == 0
