"""The pages on site generators: their files written as they stand there, built by the real tool, and looked at."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import ProjectFolder
from real_tools import Browser, full_only, succeed, tool

PAGES = Path(__file__).parents[2] / "docs" / "integrations"
_FILE = re.compile(
    r"^<!-- file: (?P<name>[^;\s]+)(?:; fragment)? -->\n```\w*\n(?P<text>.*?)^```$", re.M | re.S
)
SHOWN = """(() => {
    const image = document.images[0];
    if (!image) return false;
    image.loading = "eager";
    return image.decode().then(() => true);
})()"""
REPORT = """(({ alt, currentSrc, naturalWidth, naturalHeight, attributes, style }) => ({
    alt, source: new URL(currentSrc).pathname, shape: naturalWidth / naturalHeight,
    width: attributes.width.value, height: attributes.height.value, preview: style.backgroundImage.slice(0, 16),
}))(document.images[0])"""
QUIET = {**os.environ, "ASTRO_TELEMETRY_DISABLED": "1", "NEXT_TELEMETRY_DISABLED": "1"}


@pytest.fixture
def follow(new_project: Callable[..., ProjectFolder]) -> Callable[[str], ProjectFolder]:
    """A folder with the files that a page shows, and its images."""

    def follow(page: str) -> ProjectFolder:
        project = new_project(page)
        for file in _FILE.finditer((PAGES / f"{page}.md").read_text(encoding="utf-8")):
            project.write(file["name"], file["text"])
        assert project.json("build").counts()["generated"] == 1
        return project

    return follow


@pytest.fixture
def see(serve: Callable[[Path], str], browser: Browser) -> Callable[[Path], None]:
    """Opens a finished site: its hero is there, as declared, in the best format."""

    def see(site: Path) -> None:
        visit = browser.visit(serve(site), until=SHOWN, report=REPORT)
        assert visit.problems == []
        assert visit.report == {
            "alt": "A harbour at dusk",
            "source": "/img/hero-1200.avif",
            "shape": pytest.approx(1200 / 630, rel=0.01),
            "width": "1200",
            "height": "630",
            "preview": 'url("data:image/',
        }

    return see


def test_hugo(follow: Callable[[str], ProjectFolder], see: Callable[[Path], None]) -> None:
    project = follow("hugo")
    project.write("hugo.toml", 'title = "A harbour"\n')
    project.write("content/_index.md", "---\ntitle: A harbour\n---\n{{< picture hero >}}\n")
    succeed(tool("hugo"), "--quiet", folder=project.root)
    assert project.read("public/index.html").count(b"<picture>") == 2  # the layout's, and the shortcode's
    see(project.root / "public")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("page", "site"),
    [
        ("vite", "dist"),
        pytest.param("eleventy", "_site", marks=full_only),
        pytest.param("astro", "dist", marks=full_only),
        pytest.param("next", "out", marks=full_only),
    ],
)
def test_what_npm_builds(
    page: str,
    site: str,
    follow: Callable[[str], ProjectFolder],
    npm_install: Callable[[Path], None],
    see: Callable[[Path], None],
) -> None:
    node = tuple(
        int(part)
        for part in succeed(tool("node", "nodejs"), "-p", "process.versions.node", folder=PAGES).split(".")
    )
    if page == "astro" and node < (22, 12):
        pytest.skip("Astro 7 needs Node 22.12")
    project = follow(page)
    npm_install(project.root)
    command = json.loads(project.read("package.json"))["scripts"]["build"].removeprefix("imgbuild build && ")
    succeed(tool("npx", "npm"), "--no-install", *command.split(), folder=project.root, environ=QUIET)
    see(project.root / site)


def test_mkdocs(follow: Callable[[str], ProjectFolder], see: Callable[[Path], None]) -> None:
    mkdocs = tool("mkdocs", "mkdocs-material")
    project = follow("mkdocs")
    succeed(mkdocs, "build", "--quiet", folder=project.root)
    see(project.root / "site")
