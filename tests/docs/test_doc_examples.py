"""Every example of the documentation does what stands there, and every link leads somewhere."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT, Reader, alike, blocks

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINKED = (*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_tells_what_really_happens(page: Path, tmp_path: Path) -> None:
    differences: list[str] = []
    with Reader(tmp_path.resolve()) as reader:
        for block in blocks(page.read_text(encoding="utf-8")):
            for step, said in reader.follow(block):
                if not alike(step.expected, said):
                    diff = difflib.ndiff(step.expected.splitlines(), said.splitlines())
                    differences.append("\n".join([f"{page.name}:{block.line}: $ {step.command}", *diff]))
    assert not differences, "\n".join([*differences, "python tests/docs/refresh.py rewrites them"])


@pytest.mark.parametrize("page", _LINKED, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in _LINK.finditer(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        target = (page.parent / link[1]).resolve() if link[1] else page
        assert target.exists(), link[0]
        if link[2]:
            assert link[2][1:] in anchors(target), link[0]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_has_the_command_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().splitlines()[-1]
    assert command in readme
    assert (
        "python3 -m venv .venv && .venv/bin/pip install . "
        "&& .venv/bin/imgbuild -C examples/quickstart build" in readme
    )
