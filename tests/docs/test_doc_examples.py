"""Every example of the documentation does what stands there, and every link leads somewhere."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import pytest
from doc_pages import PAGES, ROOT, Reader, alike, blocks
from zygote import Zygote

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import UnknownModel
from imgbuild.providers.base import Finished, Pending, Request, UrlResult

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINKED = (*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_tells_what_really_happens(page: Path, tmp_path: Path, zygote: Zygote) -> None:
    differences: list[str] = []
    with Reader(tmp_path.resolve(), zygote) as reader:
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


def python_of(page: str) -> dict[str, Any]:
    """The names that a page's Python leaves behind."""
    names: dict[str, Any] = {}
    for block in blocks(text_of(page)):
        if block.language == "python":
            exec(compile(block.text, page, "exec"), names)
    return names


def test_the_python_of_the_command_line_page_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMGBUILD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    manifest = Path("examples", "quickstart", "imgbuild.yaml")
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes((ROOT / manifest).read_bytes())
    names = python_of("cli.md")
    assert names["code"] == 0
    assert (manifest.parent / "images" / "cover.png").is_file()
    assert capsys.readouterr().out.startswith("cover generate\navatar generate\n")
    assert [name for name in names["imgbuild"].__all__ if f"`{name}`" not in text_of("cli.md")] == []


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_the_provider_in_the_documentation_is_one() -> None:
    names = python_of("providers.md")
    kind = names["TYPE"]
    assert kind.capabilities("brush-1").seed
    assert kind.capabilities("brush-2") == UnknownModel("brush-2", ("brush-1",))
    dialect = names["PaintboxDialect"]()
    call = dialect.submit_call(Request("a hill", "brush-1", size=Size(1024, 1024), seed=7))
    assert call.body == {"model": "brush-1", "prompt": "a hill", "size": "1024x1024", "seed": 7}
    assert dialect.parse({"id": "p1", "state": "running"}, None) == Pending("p1", "running")
    done = {"id": "p1", "state": "done", "image_url": "https://a.example/1.png"}
    assert dialect.parse(done, "p1") == Finished((UrlResult("https://a.example/1.png"),), "p1")
