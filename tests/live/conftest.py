"""Sessions with a page, and one browser for all that is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from driven import Browser, browser
from live_session import LiveSession
from npm_packages import NotHereError
from project_folder import ProjectFolder


@pytest.fixture
def live() -> Iterator[Callable[..., LiveSession]]:
    """Starts sessions with a page, each in a project folder."""
    with ExitStack() as sessions:

        def start(project: ProjectFolder, *words: str, **environ: str) -> LiveSession:
            session = LiveSession(project.root, {**project.environ, **environ}, *words)
            sessions.callback(session.kill)
            return session

        yield start


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with one page."""
    with ExitStack() as stack:
        try:
            driven = stack.enter_context(browser(tmp_path_factory.mktemp("live") / "driver"))
        except NotHereError as error:
            pytest.skip(str(error))
        yield driven
