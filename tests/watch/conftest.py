"""Sessions that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest
from project_folder import ProjectFolder
from watching import Watching


@pytest.fixture
def watch() -> Iterator[Callable[..., Watching]]:
    """Starts sessions, each in a project folder."""
    with ExitStack() as sessions:

        def start(
            project: ProjectFolder, *words: str, around: Sequence[str] = (), **environ: str
        ) -> Watching:
            session = Watching(project, *words, around=around, **environ)
            sessions.callback(session.kill)
            return session

        yield start
