"""The one check: format, lint, types, import layers, and every test. `python -m tests [--full] [pytest words]`.

`--full` also runs the slow sweeps; other words go to pytest, and then only the tests run. For a release, with
the package index: `--lowest` tests with the oldest dependencies that are declared, `--audit` asks what is known
against the newest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
ROOM = 8 << 30
"""Bytes that have to be free in memory: far more than the tests were seen to have there."""

CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "import layers": ["lint-imports"],
}


def run(name: str, command: list[str]) -> bool:
    """One check: quiet when it passes, loud when it does not."""
    began = time.monotonic()
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    print(
        f"{name}: {'ok' if done.returncode == 0 else 'FAILED'} ({time.monotonic() - began:.1f} s)", flush=True
    )
    if done.returncode:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


def scratch(*, full: bool) -> tempfile.TemporaryDirectory[str]:
    """A folder for what the tests write: in memory, which does not wait for a disk, if there is plenty for it."""
    memory = Path("/dev/shm")
    roomy = not full and memory.is_dir() and shutil.disk_usage(memory).free >= ROOM
    return tempfile.TemporaryDirectory(
        prefix="tests-", dir=memory if roomy else None, ignore_cleanup_errors=True
    )


def main(words: list[str]) -> int:
    """Every check, also after one failed; 0 when all passed."""
    if words in (["--lowest"], ["--audit"]):
        from tests import supply_chain

        return supply_chain.lowest() if words == ["--lowest"] else supply_chain.audit()
    full = "--full" in words
    words = [word for word in words if word != "--full"]
    failed = [] if words else [name for name, command in CHECKS.items() if not run(name, command)]
    environ = {**os.environ, **({"IMGBUILD_TESTS_FULL": "1"} if full else {})}
    # The packages were installed without bytecode: whoever imports a module first keeps it for the others.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Much of their time the tests wait for processes, locks and services: half as many workers again as cores.
    cores = os.cpu_count() or 2
    workers = ["-n", str(cores + (cores + 1) // 2), "--dist", "loadfile", "--no-loadscope-reorder", "-q"]
    with scratch(full=full) as folder:
        environ["TMPDIR"] = folder
        tests = subprocess.run([sys.executable, "-m", "pytest", *(words or workers)], cwd=ROOT, env=environ)
    return 1 if failed or tests.returncode else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
