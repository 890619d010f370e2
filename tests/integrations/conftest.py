"""Examples in folders of their own, and the real tools around them: npm, a web server, Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from npm_packages import NotHereError, install_packages
from project_folder import ProjectFolder
from real_tools import Browser, serving, tool

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def copy_example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ProjectFolder]:
    """A copy of an example, without what somebody may have built there, with a home and a cache of its own."""

    def copy(name: str) -> ProjectFolder:
        base = tmp_path_factory.mktemp(name)
        root, home = base / name, base / "home"
        shutil.copytree(ROOT / "examples" / name, root, symlinks=True)
        for pattern in (root / ".gitignore").read_text(encoding="utf-8").split():
            for built in root.glob(pattern.strip("/")):
                shutil.rmtree(built) if built.is_dir() else built.unlink()
        home.mkdir()
        return ProjectFolder(root, {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONWARNINGS": "error"})

    return copy


@pytest.fixture(scope="session")
def npm_install() -> Callable[[Path], None]:
    """Installs what a folder's package.json names."""

    def install(folder: Path) -> None:
        try:
            install_packages(folder)
        except NotHereError as missing:
            pytest.skip(str(missing))

    return install


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves folders on loopback until the module's tests end; gives the address."""
    with ExitStack() as servers:
        yield lambda folder: servers.enter_context(serving(folder))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory, npm_install: Callable[[Path], None]) -> Browser:
    """Chromium, driven by Playwright's core, which brings no browser of its own."""
    program = tool("chromium")
    driver = tmp_path_factory.mktemp("browser") / "driver"
    shutil.copytree(Path(__file__).parent / "browser", driver, ignore=shutil.ignore_patterns("node_modules"))
    npm_install(driver)
    return Browser(program, driver)
