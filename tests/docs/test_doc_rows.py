"""The rows of the services' documents: every test that a row names is there, and no row is without one."""

from __future__ import annotations

import re
from functools import cache

import pytest
from doc_pages import ROOT

PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## The services' documents, row by row\n")[2]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| ")]
_NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


@cache
def names_in(file: str) -> frozenset[str]:
    """The tests in a file of this name, wherever it lies."""
    (path,) = (ROOT / "tests").rglob(file)
    return frozenset(_DEFINED.findall(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("named", sorted(set(_NAMED.findall(PAGE))), ids="::".join)
def test_a_named_test_exists(named: tuple[str, str]) -> None:
    file, test = named
    assert test in names_in(file)


def test_every_row_names_its_test() -> None:
    assert len(ROWS) > 60
    without = [row for row in ROWS if not _NAMED.search(row) and not row.endswith("| test |")]
    assert without == []


@pytest.mark.parametrize("title", ["Jimmy AI: Create", "Jimmy AI: Text-to-Image", "KYY: ", "UniAll: "])
def test_every_document_has_its_table(title: str) -> None:
    part = SECTION.partition(f"\n### {title}")[2].partition("\n### ")[0]
    assert part.count("\n| ") > 10
