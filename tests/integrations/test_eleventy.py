"""The Eleventy example: built by the real tools, and looked at with a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project_folder import ProjectFolder
from real_tools import Browser, npm_run

PICTURES = r"\.(avif|webp|jpg)$"
ALL_SHOWN = """(() => {
    for (const image of document.images) image.loading = "eager";
    return Promise.all([...document.images].map((image) => image.decode())).then(() => true);
})()"""
AS_SHOWN = """[...document.images].map((image) => ({
    source: new URL(image.currentSrc).pathname,
    width: image.width, height: image.height,
    declared: image.getAttribute("width") / image.getAttribute("height"),
}))"""


@pytest.fixture(scope="module")
def site(copy_example: Callable[[str], ProjectFolder], npm_install: Callable[[Path], None]) -> ProjectFolder:
    """The example, with its page built."""
    project = copy_example("eleventy")
    quick = project.read("imgbuild.yaml").replace(b"[avif, webp]", b"{avif: {effort: 2}, webp: {}}")
    project.write("imgbuild.yaml", quick)  # the same files, a little larger
    npm_install(project.root)
    assert project.json("build").counts()["generated"] == 7
    render(project)
    return project


def render(site: ProjectFolder) -> str:
    """Let Eleventy build the page; its text."""
    npm_run(site, "build")
    return (site.root / "_site/index.html").read_text(encoding="utf-8")


def table(site: ProjectFolder) -> dict[str, dict[str, Any]]:
    return json.loads(site.read("src/_data/images.json"))


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_every_picture_is_shown_as_avif_without_a_jump_and_without_an_error(
    site: ProjectFolder, serve: Callable[[Path], str], browser: Browser, size: tuple[int, int]
) -> None:
    visit = browser.visit(
        serve(site.root / "_site"),
        size=size,
        hold=PICTURES,
        until=ALL_SHOWN,
        report=f"({{shift: layoutShift, overflow: document.body.scrollWidth > innerWidth, shown: {AS_SHOWN}}})",
    )
    assert visit.problems == []
    assert visit.report["shift"] == 0
    assert not visit.report["overflow"]
    assert len(visit.report["shown"]) == 7
    for image in visit.report["shown"]:
        assert image["source"].endswith(".avif")
        assert image["width"] / image["height"] == pytest.approx(image["declared"], rel=0.01)


def test_a_page_that_does_not_say_sizes_would_jump(
    site: ProjectFolder, serve: Callable[[Path], str], browser: Browser
) -> None:
    page = (site.root / "_site/index.html").read_text(encoding="utf-8")
    unsized = re.sub(r' (width|height)="\d+"', "", page)
    (site.root / "_site/unsized.html").write_text(unsized, encoding="utf-8")
    visit = browser.visit(
        serve(site.root / "_site") + "/unsized.html", hold=PICTURES, until=ALL_SHOWN, report="layoutShift"
    )
    assert visit.report > 0


def test_every_file_of_the_table_decodes_to_the_size_that_stands_there(
    site: ProjectFolder, serve: Callable[[Path], str], browser: Browser
) -> None:
    images = table(site)
    declared = {
        file["src"]: [file["width"], file["height"]]
        for image in images.values()
        for file in [image, *image["files"]]
    }
    assert len(declared) == 7 + 6 + 6 * 4
    for image in images.values():
        for candidates in image["srcset"].values():
            for source, width in (candidate.split() for candidate in candidates.split(", ")):
                assert width == f"{declared[source][0]}w"
    decoded = browser.visit(
        serve(site.root / "_site"),
        report=f"""Promise.all({json.dumps(list(declared))}.map(async (address) => {{
            const image = new Image();
            image.src = address;
            await image.decode();
            return [address, [image.naturalWidth, image.naturalHeight]];
        }})).then(Object.fromEntries)""",
    )
    assert decoded.problems == []
    assert decoded.report == declared


def test_a_build_after_the_page_was_built_does_nothing(site: ProjectFolder) -> None:
    before = site.stamps()
    assert set(site.json("build").counts()) == {"unchanged"}
    assert site.stamps() == before


def test_a_changed_text_is_on_the_page_and_no_picture_is_touched(site: ProjectFolder) -> None:
    before = {name: stamp for name, stamp in site.stamps().items() if name.startswith("static/")}
    harbours = json.loads(site.read("src/_data/harbours.json"))
    harbours[-1]["alt"] = 'The "first" snow & one lit window'
    site.write("src/_data/harbours.json", json.dumps(harbours))
    counts = site.json("build").counts()
    assert not counts.keys() & {"generated", "submitted", "conflicts", "failed"}
    assert 'alt="The &quot;first&quot; snow &amp; one lit window"' in render(site)
    assert {name: stamp for name, stamp in site.stamps().items() if name.startswith("static/")} == before
