"""The emulator in a process of its own, so that its work is not counted as imgbuild's."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.measure import PYTHON, BenchmarkError


@contextmanager
def emulated(*words: str) -> Iterator[str]:
    """Serve while the block runs; `words` are options of `imgbuild emulate`. Gives the address.

    Raises:
        BenchmarkError: it did not start.
    """
    process = subprocess.Popen(
        [PYTHON, "-m", "imgbuild", "emulate", "--port", "0", "--output-format", "json", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = [process.stdout.readline(), process.stdout.readline()]
        if not said[-1]:
            raise BenchmarkError("imgbuild emulate did not start")
        yield json.loads(said[-1])["value"]["url"]
    finally:
        process.terminate()
        process.communicate()


def bill(url: str) -> dict[str, Any]:
    """The ledger: `charges`, `total` and `requests`."""
    with urllib.request.urlopen(f"{url}/_emulate/ledger") as answer:
        ledger: dict[str, Any] = json.load(answer)
    return ledger
