"""Settings of a provider under test."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from raw_server import CANARY

from imgbuild.providers.base import ProviderSettings


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., ProviderSettings]:
    numbers = count()

    def make(base_url: str | None, **changes: Any) -> ProviderSettings:
        values = {"name": "studio", "type": "uniall", "api_key": CANARY, "timeout": 20.0} | changes
        return ProviderSettings(
            base_url=base_url, scratch=lambda: tmp_path / f"scratch-{next(numbers)}", **values
        )

    return make
