"""What every family of faults is given: cheap commands, a count of injections, and how thorough to be."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from invariants import Snapshot

T = TypeVar("T")

_INJECTIONS = "injections"
_FOLDER = "faults"


@pytest.fixture
def full() -> bool:
    """Whether everything is to be tried: `python -m tests --full`."""
    return bool(os.environ.get("IMGBUILD_TESTS_FULL"))


@pytest.fixture
def sample(full: bool) -> Callable[[Sequence[T], int], list[T]]:
    """At most k of the items, evenly spread, with the first and the last; in full all of them."""

    def take(items: Sequence[T], k: int) -> list[T]:
        if full or len(items) <= k:
            return list(items)
        if k == 1:
            return [items[0]]
        return [items[round(n * (len(items) - 1) / (k - 1))] for n in range(k)]

    return take


class Count:
    """Counts injections for the table at the end of a run."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._properties = request.node.user_properties
        self.family = family_of(request.node.nodeid)

    def __call__(self, n: int = 1) -> None:
        self._properties.append((_INJECTIONS, n))


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Count:
    """`count(n)`: n faults were injected just now."""
    return Count(request)


@pytest.fixture
def outside(tmp_path: Path) -> Snapshot:
    """A neighbour of the project that no command may touch."""
    folder = tmp_path / "neighbour"
    (folder / "deeper").mkdir(parents=True)
    (folder / "notes.txt").write_text("not yours\n")
    (folder / "deeper/picture.png").write_bytes(b"\x89PNG of somebody else")
    return Snapshot.of(folder)


def family_of(nodeid: str) -> str:
    """ "f08" of test_f08_two_builds_at_once.py, "kills" of test_kills.py."""
    stem = Path(nodeid.partition("::")[0]).stem.removeprefix("test_")
    first = stem.partition("_")[0]
    return first.upper() if first[1:].isdigit() else stem


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-table", metavar="FILE", help="write the table of injections as Markdown")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = _rows(terminalreporter.stats)
    if not rows:
        return
    terminalreporter.section("faults injected")
    for row in [("family", "injections", "outcome"), *rows]:
        terminalreporter.write_line("{:<28}{:>10}  {}".format(*row))
    file = config.getoption("--faults-table")
    if file:
        lines = ["| family | injections | outcome |", "|---|---:|---|"]
        lines += [f"| {family} | {injections} | {outcome} |" for family, injections, outcome in rows]
        Path(file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _rows(stats: dict[str, list[Any]]) -> list[tuple[str, str, str]]:
    injections: Counter[str] = Counter()
    tests: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed"):
        for report in stats.get(outcome, ()):
            if report.when != "call" or Path(report.fspath).parent.name != _FOLDER:
                continue
            family = family_of(report.nodeid)
            tests[family][outcome] += 1
            injections[family] += sum(n for name, n in report.user_properties if name == _INJECTIONS)
    return [
        (
            family,
            f"{injections[family]:,}",
            ", ".join(f"{number} tests {outcome}" for outcome, number in sorted(tests[family].items())),
        )
        for family in sorted(injections)
        if injections[family]
    ]
