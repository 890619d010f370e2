"""Fuzz every parser of foreign bytes: `python -m tests.attacks.fuzz [--inputs N] [--number K] [TARGET...]`.

Prints a line for each parser: inputs tried, the longest that one took, findings. A finding is an exception that is
not imgbuild's own, more than a second of CPU time for one input, or more memory than 256 MiB beyond the start. Its
input is kept in the folder that is named. Exits with 1 when there was one.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_mutator import Mutator
from fuzz_targets import Target, targets

SECONDS = 1.0
MEMORY = 256 * 2**20
FINDINGS = 5
"""Of one parser: more are the same again."""
IN_MEMORY = Path("/dev/shm")
"""Where files that are read once each should lie: a disk would take most of the run's time."""


def main() -> int:
    """Fuzz; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs for each parser")
    parser.add_argument("--number", type=int, default=1, help="the same number gives the same inputs")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "imgbuild-fuzz")
    asked = parser.parse_args()
    warnings.simplefilter("error")
    failed = False
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        for target in targets(Path(folder)):
            if not asked.names or target.name in asked.names:
                failed |= fuzz(target, asked.inputs, asked.number, asked.keep)
    return int(failed)


def fuzz(target: Target, inputs: int, number: int, keep: Path) -> bool:
    """Whether something was found."""
    for seed in target.seeds:
        target.try_one(seed)
    limit = _address_space() + MEMORY
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    mutator = Mutator(target.seeds, number)
    found: set[str] = set()
    longest, tried = 0.0, 0
    began = time.process_time()
    try:
        while tried < inputs and len(found) < FINDINGS:
            tried += 1
            data = mutator.make()
            start = time.process_time()
            what = ""
            try:
                target.try_one(data)
            except Exception as error:
                frames = traceback.extract_tb(error.__traceback__)
                own = next((f for f in reversed(frames) if "/imgbuild/" in f.filename), frames[-1])
                what = (
                    f"{type(error).__name__} at {Path(own.filename).name}:{own.lineno}: {str(error)[:100]!a}"
                )
            took = time.process_time() - start
            longest = max(longest, took)
            if took > SECONDS:
                what = what or f"took {took:.1f} s of CPU time"
            if what and what.partition(": ")[0] not in found:
                found.add(what.partition(": ")[0])
                keep.mkdir(parents=True, exist_ok=True)
                path = keep / f"{target.name.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}"
                path.write_bytes(data)
                print(f"  {target.name}: {what}  ({path})", flush=True)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    spent = time.process_time() - began
    print(
        f"{target.name}: {tried:,} inputs, {spent:.0f} s, longest {longest * 1000:.0f} ms, {len(found)} findings",
        flush=True,
    )
    return bool(found)


def _address_space() -> int:
    """Bytes that this process has mapped now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
