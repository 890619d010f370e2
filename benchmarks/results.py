"""RESULTS.md: what was measured last, one section a benchmark, each with its date and machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.table import Table
from imgbuild import __version__

RESULTS = Path(__file__).parent / "RESULTS.md"

_HEADER = """# Results

Written by `python -m benchmarks --write`; nothing here is edited by hand. Timings of different machines say
little, so budgets are ratios of commands that ran in turns, A B A B, in one run.

To reproduce: `.venv/bin/pip install -e '.[dev]'`, put the peers to compare with on the PATH or into
`IMGBUILD_BENCHMARK_PEERS` (a folder with `ninja`, `make`, `doit`, `snakemake`, `dvc`), point
`IMGBUILD_BENCHMARK_SHARP` to a folder in which `npm install sharp` has run, then
`.venv/bin/python -m benchmarks --write`, or with names behind it for some of them. What is not installed is
left out.
"""

_MARK = re.compile(r"^<!-- (\w+) -->\n", re.MULTILINE)


def record(name: str, table: Table, order: Sequence[str]) -> None:
    """Put a benchmark's table in the place of its last one; the others stay as they are."""
    sections = _sections(RESULTS.read_text() if RESULTS.exists() else "")
    sections[name] = f"{table.markdown()}\n{_measured()}\n"
    body = "".join(f"\n<!-- {one} -->\n{sections[one]}" for one in order if one in sections)
    RESULTS.write_text(_HEADER + body)


def _sections(text: str) -> dict[str, str]:
    parts = _MARK.split(text)[1:]
    return {name: f"{body.strip()}\n" for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _measured() -> str:
    """When, where and with what: a section may be older than its neighbours."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"<sub>{datetime.now(UTC):%Y-%m-%d}, imgbuild {__version__} ({_commit()}), "
        f"Python {platform.python_version()}, {platform.system()} {platform.release().split('-')[0]}, "
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB</sub>"
    )


def _commit() -> str:
    root = RESULTS.parent.parent
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True
    )
    return said.stdout.strip() or "no git"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return named[1].strip() if named else platform.machine()
