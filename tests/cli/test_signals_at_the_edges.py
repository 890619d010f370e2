"""Signals while a command begins and while its process ends: one exit code, one line at most, no traceback."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from project_folder import start

PROC = Path("/proc/self/status")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
MOMENTS = 8
LAST = """
import atexit, os, signal, sys
from imgbuild.__main__ import main
code = main()
def told(): os.kill(os.getpid(), signal.{name})
if {at_exit}:
    atexit.register(told)
else:
    told()
sys.exit(code)
"""
"""The command, with a signal once its code is known, or among the calls before the end."""
LOST = """
import signal, sys
from imgbuild.__main__ import main
class Finalizer:
    def __del__(self):
        signal.raise_signal(signal.{name})
        sum(range(9))
def lose(frame, event, argument):
    if frame.f_code.co_name == "load_project":
        sys.setprofile(None)
        Finalizer()
sys.setprofile(lose)
sys.exit(main())
"""
"""The command, with a signal that comes in a finalizer, which no exception leaves, once it has something to do."""


def listens(pid: int) -> bool:
    """Whether SIGTERM has a handler: that is imgbuild's, since Python gives it none."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line)
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not PROC.exists(), reason="no /proc here")
@pytest.mark.parametrize("often", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("words", [["list"], ["plan"], ["build", "--dry-run"], ["--help"]], ids=" ".join)
def test_a_signal_at_any_time_leads_to_its_exit_code_or_is_too_late(project, words, number, often):
    chance = random.Random(f"{words} {number} {often}")
    began = time.monotonic()
    whole = project(*words)
    seconds = time.monotonic() - began
    for _ in range(MOMENTS):
        command = start(project, "-m", "imgbuild", *words)
        while command.poll() is None and not listens(command.pid):
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, seconds))
        command.send_signal(number)
        while often and command.poll() is None:
            command.send_signal(number)
            time.sleep(0.001)
        out, err = command.communicate(timeout=60)
        assert command.returncode in (0, CODES[number]), err
        if command.returncode == 0:
            assert (out, err) == (whole.stdout, whole.stderr)
        else:
            assert err in ("", "interrupted\n")


@pytest.mark.parametrize("at_exit", [False, True])
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(("words", "code"), [(["list"], 0), (["--version"], 0), (["list", "nobody"], 2)])
def test_a_signal_while_the_process_ends_changes_nothing(project, number, words, code, at_exit):
    whole = project(*words)
    assert whole.returncode == code
    ended = start(project, "-c", LAST.format(name=number.name, at_exit=at_exit), *words)
    out, err = ended.communicate(timeout=60)
    assert (ended.returncode, out, err) == (code, whole.stdout, whole.stderr)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_that_comes_in_a_finalizer_is_not_lost(project, number):
    command = start(project, "-c", LOST.format(name=number.name), "plan")
    out, err = command.communicate(timeout=60)
    assert (command.returncode, out, err) == (CODES[number], "", "")
