"""Fixtures of the conformance suite: each dialect, and folders to build in."""

from __future__ import annotations

from pathlib import Path

import pytest
from dialects import DIALECTS, Dialect
from workbench_project import Folder
from zygote import Zygote


@pytest.fixture(scope="module", params=DIALECTS, ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """One dialect after the other."""
    found: Dialect = request.param
    return found


@pytest.fixture
def folder(tmp_path: Path, zygote: Zygote) -> Folder:
    """A project folder, still empty."""
    return Folder(tmp_path, zygote)
