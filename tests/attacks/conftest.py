"""What every attack needs: a service that means harm, and the bounds that a command is held to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from bounded import Bounded, run_bounded
from canary import CANARY
from hostile_service import API, HostileService, hostile_service
from project_folder import ProjectFolder


@pytest.fixture
def service() -> Iterator[HostileService]:
    """It gets the key where its API is, and nowhere else."""
    with hostile_service() as running:
        yield running
        assert CANARY.decode() not in str([got for got in running.got if not got.path.startswith(API)])


@pytest.fixture
def elsewhere() -> Iterator[HostileService]:
    """Another host, to which nothing of ours may go."""
    with hostile_service() as running:
        yield running
        assert CANARY.decode() not in str(running.got)


@pytest.fixture
def bounded(project: ProjectFolder) -> Callable[..., Bounded]:
    """Runs a command in the project and measures it."""

    def run(*words: str, seconds: int = 30) -> Bounded:
        command = [sys.executable, "-m", "imgbuild", *words]
        return run_bounded(command, project.root, project.environ, seconds)

    return run
