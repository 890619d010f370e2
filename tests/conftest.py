"""Fixtures that every area may use: an emulated service on loopback, with its bill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import running


@dataclass(frozen=True)
class Emulator:
    """A running emulator: where it is, and what was charged."""

    url: str
    http: httpx.Client
    """A client without a key, for requests relative to `url` and for result links."""

    def ledger(self) -> dict[str, Any]:
        """The bill at this moment: `charges`, `total` and `requests`."""
        ledger: dict[str, Any] = self.http.get("/_emulate/ledger").raise_for_status().json()
        return ledger

    def reset(self) -> None:
        """Forget the charges, the tasks and the faults' counts."""
        self.http.post("/_emulate/reset").raise_for_status()


@contextmanager
def _started(options: EmulatorOptions) -> Iterator[Emulator]:
    # Loopback is plain HTTP: without verify=False each client would load the machine's certificates.
    with (
        running(options) as url,
        httpx.Client(base_url=url, trust_env=False, verify=False, timeout=60) as http,
    ):
        yield Emulator(url, http)


@pytest.fixture(scope="session")
def _shared_emulator() -> Iterator[Emulator]:
    with _started(EmulatorOptions(latency=0)) as emulator:
        yield emulator


@pytest.fixture
def emulator(_shared_emulator: Emulator) -> Emulator:
    """An emulator without latency and with an empty bill. One server serves the whole session."""
    _shared_emulator.reset()
    return _shared_emulator


@pytest.fixture
def start_emulator() -> Iterator[Callable[..., Emulator]]:
    """Starts emulators with the given `EmulatorOptions` (no latency unless told), until the test ends."""
    with ExitStack() as servers:

        def start(**options: Any) -> Emulator:
            return servers.enter_context(_started(EmulatorOptions(**{"latency": 0, **options})))

        yield start
