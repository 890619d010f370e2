"""Commands on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType


def on_a_terminal(
    root: Path, environ: Mapping[str, str], *arguments: str, answer: str = "", **variables: str
) -> tuple[int, str]:
    """Exit code and everything that the terminal saw of a command that runs in the folder `root`."""
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
        cwd=root,
        env={**environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables},
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


class Terminal:
    """A command that runs on a terminal, and can be typed to."""

    def __init__(self, root: Path, environ: Mapping[str, str], *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self._seen: list[bytes] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imgbuild", *arguments],
            cwd=root,
            env={**environ, "TERM": "xterm-256color", "COLUMNS": "200", "NO_COLOR": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join(timeout=10)
        os.close(self._ours)

    @property
    def said(self) -> str:
        """Everything that the terminal saw until now."""
        return b"".join(self._seen).decode(errors="replace")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def code(self) -> int:
        """The exit code, once the command has ended."""
        return self._process.wait(timeout=60)

    def _listen(self) -> None:
        # Linux reports the end of a terminal as an error.
        try:
            while data := os.read(self._ours, 65536):
                self._seen.append(data)
        except OSError:
            pass
