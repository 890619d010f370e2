"""The same workload for other build tools: N targets, each with its own parameters and one 20 KB output."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Command, run
from benchmarks.project import output, write_outputs

PEERS_VARIABLE = "IMGBUILD_BENCHMARK_PEERS"
"""A folder that the tools are looked for in, before the PATH."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A build tool, and how its project is brought to where there is nothing to do."""

    name: str
    prepare: Callable[[Path, int, str], Command]
    """From a folder with all outputs, their number and the program to the build with nothing to do."""
    largest: int
    """The most targets that are measured: some tools need minutes to get to where there is nothing to do."""
    slow: bool = True
    """Takes so long that a few rounds must do."""


def program(name: str) -> str | None:
    """Where a tool is installed; None where it is not."""
    folder = os.environ.get(PEERS_VARIABLE)
    return (shutil.which(name, path=folder) if folder else None) or shutil.which(name)


def prepared(peer: Peer, parent: Path, count: int) -> Command | None:
    """The peer's command in a folder of its own, ready to be measured; None where it is not installed."""
    found = program(peer.name)
    if found is None:
        return None
    root = parent / peer.name
    root.mkdir()
    write_outputs(root, count)
    return peer.prepare(root, count, found)


def _ninja(root: Path, count: int, found: str) -> Command:
    # The outputs are there already: what the first build adds is ninja's log of the commands that made them.
    targets = (
        f"build {output(number)}: draw\n  parameters = thing number {number}\n" for number in range(count)
    )
    (root / "build.ninja").write_text(f"rule draw\n  command = : $parameters\n{''.join(targets)}")
    run(Command("ninja, first", (found,), root))
    return Command("ninja", (found,), root, expect="no work to do")


def _make(root: Path, count: int, found: str) -> Command:
    # make does not notice a changed command: next best is to depend on the file with the commands.
    targets = (f"{output(number)}: Makefile\n\t: thing number {number} > $@\n" for number in range(count))
    names = " ".join(map(output, range(count)))
    (root / "Makefile").write_text(f"all: {names}\n.PHONY: all\n{''.join(targets)}")
    for number in range(count):
        os.utime(root / output(number))
    return Command("make", (found,), root, expect="Nothing to be done")


def _doit(root: Path, count: int, found: str) -> Command:
    (root / "dodo.py").write_text(
        "from doit.tools import config_changed\n"
        "DOIT_CONFIG = {'verbosity': 0}\n"
        "def draw():\n    return True\n"
        "def task_draw():\n"
        f"    for number in range({count}):\n"
        "        yield {'name': str(number), 'actions': [draw], 'targets': [f'out/{number:06}.png'],\n"
        "               'uptodate': [config_changed({'prompt': f'thing number {number}'})]}\n"
    )
    run(Command("doit, first", (found,), root))
    return Command("doit", (found,), root, expect=f"-- draw:{count - 1}")


def _snakemake(root: Path, count: int, found: str) -> Command:
    (root / "Snakefile").write_text(
        f"N = range({count})\n"
        "rule all:\n    input: [f'out/{number:06}.png' for number in N]\n"
        "rule draw:\n    output: 'out/{number}.png'\n"
        "    params: prompt=lambda wildcards: f'thing number {wildcards.number}'\n"
        "    shell: ': {params.prompt} > {output}'\n"
    )
    run(Command("snakemake, first", (found, "--touch", "--cores", "2", "--quiet", "all"), root))
    return Command("snakemake", (found, "--cores", "2"), root, expect="Nothing to be done")


def _dvc(root: Path, count: int, found: str) -> Command:
    environ = {"DVC_NO_ANALYTICS": "1"}
    run(Command("dvc init", (found, "init", "--no-scm", "-q"), root, environ))
    stages: dict[str, object] = {}
    locked: dict[str, object] = {}
    for number in range(count):
        path = output(number)
        command = f"draw {path} thing number {number}"
        data = (root / path).read_bytes()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        stages[f"draw-{number}"] = {"cmd": command, "outs": [{path: {"cache": False}}]}
        made = {"path": path, "hash": "md5", "md5": digest, "size": len(data)}
        locked[f"draw-{number}"] = {"cmd": command, "outs": [made]}
    # JSON is YAML.
    (root / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": locked}))
    return Command("dvc", (found, "repro"), root, environ, expect="up to date")


PEERS = (
    Peer("ninja", _ninja, 100_000, slow=False),
    Peer("make", _make, 100_000, slow=False),
    Peer("doit", _doit, 100_000),
    Peer("snakemake", _snakemake, 10_000),
    Peer("dvc", _dvc, 1_000),
)
"""Fastest first."""
