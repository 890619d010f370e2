"""`python -m benchmarks [NAME ...] [--small] [--write]`: one table per budget."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from benchmarks.measure import BenchmarkError
from benchmarks.results import RESULTS, record
from benchmarks.scale import Scale
from benchmarks.table import Table

BENCHMARKS: Mapping[str, str] = {
    "null_build": "a build with nothing to do, beside ninja, make, doit, snakemake and dvc",
    "version": "imgbuild --version, beside python -c pass",
    "plan": "a plan from nothing, 10,000 images by matrix",
    "edit": "a plan after one entry of a hand-written manifest changed",
    "save": "from a save in the editor to the new plan, in a process that stays",
    "schedule": "1,000 images through an asynchronous provider, beside the ideal schedule",
    "memory": "the peak of memory at large synchronous answers",
    "derive": "responsive files from masters, beside sharp",
    "shared": "a fresh machine from a shared cache, beside a plain parallel download",
    "many_builders": "what many builders at once cost a shared cache",
    "profile": "where the time of a null build and of a plan goes",
}
"""Every benchmark with its one line; each is the module of its name here."""


class _Benchmark(Protocol):
    def measure(self, scale: Scale) -> Table: ...


def main(words: list[str]) -> int:
    """Run what is named, or all of them; returns 1 when something could not be measured."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure the budgets, each with its ratios and, where installed, its peers.",
        epilog="\n".join(f"  {name:12}{line}" for name, line in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; all of them if none is named")
    parser.add_argument("--small", action="store_true", help="a smoke test: few targets, no judgement")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {RESULTS.name}")
    args = parser.parse_args(words)
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if args.small and args.write:
        parser.error("a small run says nothing about budgets: leave out --small or --write")
    failed = False
    for name in args.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        benchmark = cast(_Benchmark, import_module(f"benchmarks.{name}"))
        try:
            table = benchmark.measure(Scale(args.small))
        except BenchmarkError as error:
            print(f"error: {name}: {error}", file=sys.stderr, flush=True)
            failed = True
            continue
        print(table.text(), flush=True)
        if args.write:
            record(name, table, list(BENCHMARKS))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
