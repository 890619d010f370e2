"""A command with a limit of CPU time, and how much memory it took: it, and nobody else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bounded:
    """What a command did, and what it took."""

    code: int
    out: str
    err: str
    megabytes: float
    """The most that was resident at once."""


_SMALL = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(pid, 0)
os.write(int(os.environ["IMGBUILD_TESTS_TOLD"]), f"{os.waitstatus_to_exitcode(status)} {used.ru_maxrss}".encode())
"""
"""A process takes over the mark of its parent's memory, so that the parent has to be a small one."""


def run_bounded(words: Sequence[str], folder: Path, environ: Mapping[str, str], seconds: int) -> Bounded:
    """Run a command until it ends, or until the kernel ends it after `seconds` of CPU time."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as told:
        limited = ["sh", "-c", f'ulimit -t {seconds}; exec "$@"', "sh", *words]
        subprocess.run(
            [sys.executable, "-I", "-c", _SMALL, *limited],
            cwd=folder,
            env={**environ, "IMGBUILD_TESTS_TOLD": str(told.fileno())},
            pass_fds=[told.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=True,
        )
        texts = []
        for file in (out, err, told):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    code, kilobytes = map(int, texts[2].split())
    return Bounded(code, texts[0], texts[1], kilobytes / 1024)
