"""A process that has imgbuild imported already and forks a child for each command: cheap enough for thousands.

The class is for tests. Run as a program, this file is the process itself: a request is a line of JSON on
standard input, and on standard output a line says the child's id, and later another one how it ended.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import held
from canary import CANARY
from project_folder import ProjectFolder, Run

import imgbuild

LIMIT = 100.0
"""Seconds that a command may take: far more than any does, and less than pytest's own limit."""
_IMPORTED_LATE = (
    "anyio._backends._asyncio",
    "encodings.idna",
    "filelock._unix",
    "httpcore._async.http11",
    "importlib.resources.readers",
)
"""What imgbuild's modules do not import, but what they call does."""
LEFT_OPEN = re.compile(
    r"Exception ignored in: <.*\n(?:Traceback .*\n)?(?: .*\n)*ResourceWarning: unclosed (?:file|scandir iterator) .*\n"
)
"""What Python warns of when a signal interrupts it between opening something and noting that it is open."""
HELD = "HELD_SYSTEM_CALLS"
"""Set for a command, not by it: it is to ask about its system calls first."""


class Child:
    """A running command. Its output can be read while it runs."""

    def __init__(self, zygote: Zygote, number: int, pid: int, out: Path, err: Path) -> None:
        self.pid = pid
        self._zygote = zygote
        self._number = number
        self._out = out
        self._err = err
        self._interrupted = False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, unless the command has ended."""
        if not self._zygote.ended(self._number):
            self._interrupted = self._interrupted or number in (signal.SIGINT, signal.SIGTERM)
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def running(self) -> bool:
        return not self._zygote.ended(self._number)

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._err.read_text(encoding="utf-8")

    def wait(self, limit: float = LIMIT) -> Run:
        """What the command did, once it has ended; the code of a killed one is negative."""
        if not self._zygote.ended(self._number, limit):
            self.kill()
            raise AssertionError(f"a command took more than {limit:g} s\n{self.out}\n{self.err}")
        err = LEFT_OPEN.sub("", self.err) if self._interrupted else self.err
        run = Run(self._zygote.codes[self._number], self.out, err)
        assert CANARY.decode() not in run.out + run.err
        self._out.unlink()
        self._err.unlink()
        return run


class Zygote:
    """The process, and the commands that it runs. Threads may share it."""

    def __init__(self, folder: Path, program: str = __file__, **environ: str) -> None:
        """`folder` is where the outputs of the commands lie until they are read.

        `program` is what to run instead of this file; keywords are set in its environment.
        """
        # As little as a command gets itself: what Python decides when it starts is decided here.
        least = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "error"}
        paths = (Path(imgbuild.__file__).parent.parent, Path(__file__).parent)
        least["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, program],
            cwd=folder,
            env={**least, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._guard = threading.RLock()
        self._unread = b""
        self._last = 0
        self._pids: dict[int, int] = {}
        self.codes: dict[int, int] = {}
        """How the commands ended that have ended, by their numbers."""

    def start(self, project: ProjectFolder, *words: str, **environ: str) -> Child:
        """Start a command in a project; keywords are set in its environment."""
        with self._guard:
            self._last += 1
            number = self._last
        out, err = (self._folder / f"{number}.{name}" for name in ("out", "err"))
        request = {
            "number": number,
            "words": words,
            "cwd": str(project.root),
            "environ": {**project.environ, **environ},
            "out": str(out),
            "err": str(err),
        }
        out.touch()
        err.touch()
        assert self._process.stdin is not None
        with self._guard:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        while number not in self._pids:
            self._listen(LIMIT)
        return Child(self, number, self._pids[number], out, err)

    def run(self, project: ProjectFolder, *words: str, **environ: str) -> Run:
        """Run a command to its end. A traceback is never an answer."""
        run = self.start(project, *words, **environ).wait()
        assert "Traceback" not in run.err, run.err
        return run

    def json(self, project: ProjectFolder, *words: str, code: int = 0, **environ: str) -> Run:
        """The same in JSON, and with this exit code."""
        run = self.run(project, *words, "--output-format", "json", **environ)
        assert run.code == code, f"exit {run.code}\n{run.out}\n{run.err}"
        return run

    def ended(self, number: int, limit: float = 0.0) -> bool:
        """Whether a command has ended, or does within a limit."""
        end = time.monotonic() + limit
        while number not in self.codes:
            rest = end - time.monotonic()
            # Also without patience, what has been said already is heard.
            if not self._listen(max(rest, 0.0)) and rest <= 0:
                return False
        return True

    def close(self) -> None:
        """End it, and whatever still runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self, limit: float) -> bool:
        """Hear what the process says within a limit, at most a little at a time so that threads take turns."""
        assert self._process.stdout is not None
        with self._guard, selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(min(limit, 0.05)):
                return False
            data = self._process.stdout.read(65_536)
            assert data, "the zygote died"
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if "pid" in said:
                    self._pids[said["number"]] = said["pid"]
                else:
                    self.codes[said["number"]] = said["code"]
            return True


def _serve() -> NoReturn:
    """Fork a child for each request, and tell how each ended, until standard input ends."""
    _import_everything()
    # Ctrl-C in a terminal is for the tests; a signal for a child waits until the child can take it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    numbers: dict[int, int] = {}
    unread = b""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                os.read(woken, 4096)
                _reap(numbers)
            if 0 in ready:
                data = os.read(0, 1 << 20)
                if not data:
                    _end(numbers)
                *lines, unread = (unread + data).split(b"\n")
                for line in lines:
                    _fork(json.loads(line), numbers, (woken, wake, selector.fileno()))


def _import_everything() -> None:
    """All that a command may import when it first needs it; not the emulator, which runs elsewhere, nor Dask."""
    for module in pkgutil.walk_packages(imgbuild.__path__, "imgbuild."):
        if not module.name.startswith(("imgbuild.emulator", "imgbuild.run.fleet")):
            importlib.import_module(module.name)
    for name in _IMPORTED_LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _fork(request: dict[str, Any], numbers: dict[int, int], descriptors: tuple[int, ...]) -> None:
    assert threading.active_count() == 1, "a process with threads cannot be forked safely"
    blocked = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor in descriptors:
            os.close(descriptor)
        _become(request)
        os._exit(_run(blocked))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    numbers[pid] = request["number"]
    _say(number=request["number"], pid=pid)


def _become(request: dict[str, Any]) -> None:
    """What a fresh process would have been given: environment, folder, streams, arguments."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for target, path, how in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], flags),
        (2, request["err"], flags),
    ):
        descriptor = os.open(path, how)
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv[:] = ["imgbuild", *request["words"]]


def _run(blocked: set[signal.Signals]) -> int:
    """The command from its start to the last thing that Python does: threads are waited for."""
    from imgbuild.__main__ import main

    if word := os.environ.pop(HELD, ""):
        held.hold(word)
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        code = main()
        # Of a real end only the taking apart of modules is left out, which takes longer than the rest.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    return code


def _reap(numbers: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(number=numbers.pop(pid), code=os.waitstatus_to_exitcode(status))


def _end(numbers: dict[int, int]) -> NoReturn:
    for pid in numbers:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _say(**members: int) -> None:
    os.write(1, json.dumps(members).encode() + b"\n")


if __name__ == "__main__":
    _serve()
