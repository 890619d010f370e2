"""A project folder, the emulated services it talks to, and the real command run in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from dialects import manifest
from project_folder import CERTIFICATES, start
from zygote import Zygote

from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import running

CANARY = "sk-canary-5b1c9e0d7a"


@dataclass(frozen=True)
class Service:
    """A running emulator."""

    url: str
    http: httpx.Client

    def ledger(self) -> dict[str, Any]:
        """Charges, totals and requests so far."""
        ledger: dict[str, Any] = self.http.get("/_emulate/ledger").raise_for_status().json()
        return ledger


@contextmanager
def service(**options: Any) -> Iterator[Service]:
    """An emulator with the given `EmulatorOptions`; without latency unless told."""
    with (
        running(EmulatorOptions(**{"latency": 0, **options})) as url,
        httpx.Client(base_url=url, trust_env=False, verify=False, timeout=60) as http,
    ):
        yield Service(url, http)


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of `--output-format json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The last event."""
        return self.events[-1]

    def images(self) -> dict[str, dict[str, Any]]:
        """The event of each image, by its id."""
        return {e["id"]: e for e in self.events if e["event"] == "image"}

    def failures(self) -> dict[str, str]:
        """The failure kind of each image that failed, with its message."""
        failed = {id: e["error"] for id, e in self.images().items() if e["status"] == "failed"}
        return {id: f"{error['kind']}: {error['message']}" for id, error in failed.items()}


@dataclass(frozen=True)
class Folder:
    """A project in a folder of its own; home and cache lie beside it."""

    home: Path
    zygote: Zygote
    """Runs its commands."""

    @property
    def root(self) -> Path:
        """The project."""
        return self.home / "project"

    def manifest(
        self, providers: Mapping[str, Any], images: Mapping[str, Mapping[str, Any]], **more: Any
    ) -> None:
        """Write the manifest."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "imgbuild.yaml").write_text(manifest(providers, images, **more), encoding="utf-8")

    @property
    def environ(self) -> dict[str, str]:
        """What commands see of the machine."""
        home = self.home / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "IMGBUILD_CACHE_DIR": str(self.home / "cache"),
            "CONFORMANCE_KEY": CANARY,
            "SSL_CERT_FILE": str(CERTIFICATES),
            "PYTHONWARNINGS": "error",
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        return start(self, "-m", "imgbuild", *words)

    def run(self, *words: str) -> Run:
        """Run a command to its end."""
        # A ProjectFolder has what a zygote needs to know of a project, and so has this.
        done = self.zygote.run(self, *words)  # type: ignore[arg-type]
        return Run(done.code, done.out, done.err)

    def json(self, *words: str, code: int = 0) -> Run:
        """Run a command with events on its output, and hold it to its exit code."""
        run = self.run(*words, "--output-format", "json")
        assert run.code == code, f"exit {run.code}\n{run.out}\n{run.err}"
        return run

    def lock(self) -> dict[str, Any]:
        """The lock's images."""
        images: dict[str, Any] = json.loads((self.root / "imgbuild.lock").read_text())["images"]
        return images

    def everything_written(self) -> Iterator[tuple[Path, bytes]]:
        """Every file that any command left anywhere."""
        for path in self.home.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()
