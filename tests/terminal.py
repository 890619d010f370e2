"""Commands on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path


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
