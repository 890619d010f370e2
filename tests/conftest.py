"""Fixtures that every area may use: an emulated service on loopback with its bill, and project folders."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from canary import CANARY, files_with_keys
from hypothesis import settings
from project_folder import CERTIFICATES, ProjectFolder
from zygote import Zygote

from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import running

# A machine that is busy with other things is no reason for a law to fail.
settings.register_profile("sample", settings(), deadline=None, max_examples=50)
settings.register_profile("full", settings(), deadline=None, max_examples=200)
settings.load_profile("full" if os.environ.get("IMGBUILD_TESTS_FULL") else "sample")

# With few and slow tests, these would be what a worker is left with in the end.
SLOW_FOLDERS = (
    "integrations",
    "live",
    "watch",
    "shared",
    "faults",
    "fleet",
    "diffusers",
    "c2pa",
    "attacks",
    "docs",
)
ONE_WORKER_FOLDERS = ("diffusers",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow folders first; `--no-loadscope-reorder` lets the workers take them so."""
    ranks = {name: rank for rank, name in enumerate(SLOW_FOLDERS)}
    here = Path(__file__).parent
    items.sort(key=lambda item: ranks.get(item.path.relative_to(here).parts[0], len(ranks)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """File by file, but for folders where what a worker makes first costs more than to share the work saves."""
    from xdist.scheduler.loadfile import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            whole: str = super()._split_scope(nodeid)
            return next((name for name in ONE_WORKER_FOLDERS if f"/{name}/" in whole), whole)

    return Scheduling(config, log)


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


@pytest.fixture(scope="session", autouse=True)
def _searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """The folders that were searched for keys; what no test had for itself is searched at the end."""
    searched: set[str] = set()
    yield searched
    folder = tmp_path_factory.getbasetemp()
    assert not (found := files_with_keys(folder, searched)), f"keys stand in {found}, below {folder}"


@pytest.fixture(autouse=True)
def _no_file_holds_a_key(request: pytest.FixtureRequest, _searched: set[str]) -> Iterator[None]:
    """Whatever a test wrote is searched while it is still in the system's cache; that costs next to nothing."""
    yield
    folder = getattr(request.node, "funcargs", {}).get("tmp_path")
    if folder is not None:
        _searched.add(str(folder))
        assert not (found := files_with_keys(folder)), f"keys stand in {found}, below {folder}"


@contextmanager
def _started(options: EmulatorOptions) -> Iterator[Emulator]:
    # A server that closes an idle connection does so at the very moment when it is wanted again.
    limits = httpx.Limits(max_keepalive_connections=0)
    # Loopback is plain HTTP: without verify=False each client would load the machine's certificates.
    with (
        running(options) as url,
        httpx.Client(base_url=url, trust_env=False, verify=False, timeout=60, limits=limits) as http,
    ):
        yield Emulator(url, http)


def _assert_no_key_in(emulator: Emulator) -> None:
    """A service gets the key in its own header: in nothing that it is asked to draw, store or bill."""
    assert CANARY.decode() not in json.dumps(emulator.ledger())


@pytest.fixture(scope="session")
def _shared_emulator() -> Iterator[Emulator]:
    with _started(EmulatorOptions(latency=0)) as emulator:
        yield emulator


@pytest.fixture
def emulator(_shared_emulator: Emulator) -> Iterator[Emulator]:
    """An emulator without latency and with an empty bill. One server serves the whole session."""
    _shared_emulator.reset()
    yield _shared_emulator
    _assert_no_key_in(_shared_emulator)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Runs commands at a tenth of the price of real processes, and can kill them."""
    running = Zygote(tmp_path_factory.mktemp("zygote"))
    yield running
    running.close()


@pytest.fixture
def start_emulator() -> Iterator[Callable[..., Emulator]]:
    """Starts emulators with the given `EmulatorOptions` (no latency unless told), until the test ends."""
    with ExitStack() as servers:

        def start(**options: Any) -> Emulator:
            emulator = servers.enter_context(_started(EmulatorOptions(**{"latency": 0, **options})))
            servers.callback(_assert_no_key_in, emulator)
            return emulator

        yield start


@pytest.fixture
def new_project(tmp_path: Path, zygote: Zygote) -> Callable[..., ProjectFolder]:
    """Makes project folders: each with a home of its own, and one cache for all unless told otherwise."""

    def make(name: str = "project", cache: str = "cache") -> ProjectFolder:
        root, home = tmp_path / name, tmp_path / f"home-{name}"
        root.mkdir()
        home.mkdir()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "IMGBUILD_CACHE_DIR": str(tmp_path / cache),
            "STUDIO_KEY": "sk-canary-7f3a",
            "SSL_CERT_FILE": str(CERTIFICATES),
            "PYTHONWARNINGS": "error",
        }
        return ProjectFolder(root, environ, zygote)

    return make


@pytest.fixture
def project(new_project: Callable[..., ProjectFolder]) -> ProjectFolder:
    """One project folder, still empty."""
    return new_project()


@pytest.fixture
def copy_project(new_project: Callable[..., ProjectFolder]) -> Callable[..., ProjectFolder]:
    """A second checkout: the same files, without `.imgbuild/`, and without outputs unless asked for."""

    def copy(of: ProjectFolder, name: str, *, outputs: bool = False, cache: str = "cache") -> ProjectFolder:
        other = new_project(name, cache)
        skip = shutil.ignore_patterns(".imgbuild", *([] if outputs else ["out"]))
        shutil.copytree(of.root, other.root, dirs_exist_ok=True, ignore=skip)
        return other

    return copy
