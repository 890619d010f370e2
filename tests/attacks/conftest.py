"""What every attack needs: a service that means harm, and the bounds that a command is held to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from bounded import Bounded, run_bounded
from hostile_service import HostileService, hostile_service
from project_folder import ProjectFolder


@pytest.fixture
def service() -> Iterator[HostileService]:
    with hostile_service() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[HostileService]:
    """Another host, to which nothing of ours may go."""
    with hostile_service() as running:
        yield running


@pytest.fixture
def bounded(project: ProjectFolder) -> Callable[..., Bounded]:
    """Runs a command in the project and measures it."""

    def run(*words: str, seconds: int = 30) -> Bounded:
        command = [sys.executable, "-m", "imgbuild", *words]
        return run_bounded(command, project.root, project.environ, seconds)

    return run
