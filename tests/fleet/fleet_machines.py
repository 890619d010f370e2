"""A real scheduler and real workers, each a process of its own with a log, that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import Client

_QUIET = {
    # What a dashboard would take to start, and what looks for a newer machine's services.
    "DASK_DISTRIBUTED__DASHBOARD__ENABLED": "False",
    "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__STATUS__TASK_STREAM_LENGTH": "1",
}


class Machines:
    """A scheduler and its workers. `folder` gets their logs and whatever they write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **_QUIET}
        self._started: list[subprocess.Popen[bytes]] = []
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        place = folder / "address"
        self.scheduler = self.start(
            "scheduler", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
            "--no-dashboard", "--scheduler-file", str(place),
        )  # fmt: skip
        self._client: Client | None = None
        end = time.monotonic() + 60
        while not (place.exists() and (text := place.read_text())):
            assert self.scheduler.poll() is None, self.log("scheduler")
            assert time.monotonic() < end
            time.sleep(0.02)
        self.address = text.partition('"address": "')[2].partition('"')[0]

    @property
    def client(self) -> Client:
        """To look at the cluster from the test."""
        if self._client is None:
            self._client = Client(self.address, set_as_default=False, timeout=30)
        return self._client

    def worker(
        self, name: str, *words: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker with one thread, and wait until it is there."""
        process = self.start(
            name, "distributed.cli.dask_worker", self.address, "--name", name, "--nthreads", "1",
            "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--memory-limit", "0",
            "--local-directory", str(self.folder), *words, environ=environ,
        )  # fmt: skip
        end = time.monotonic() + 60
        while name not in self.names():
            assert process.poll() is None, self.log(name)
            assert time.monotonic() < end
            time.sleep(0.02)
        self.workers[name] = process
        return process

    def start(
        self, name: str, module: str, *words: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                cwd=self.folder,
                env={**self._environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process

    def names(self) -> list[str]:
        """The workers that the scheduler knows."""
        info: dict[str, Any] = self.client.scheduler_info(n_workers=-1)
        return [str(worker["name"]) for worker in info["workers"].values()]

    def tasks(self) -> int:
        """How many tasks the scheduler knows. A lambda travels as it is: workers do not have the tests."""
        found: int = self.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        return found

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a process, and wait until the scheduler has noticed."""
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        for process in reversed(self._started):
            self.stop(process)

    def known_of(self) -> bytes:
        """Everything that the processes were given or have said: their words, environments and logs."""
        pieces: list[bytes] = []
        for process in self._started:
            for what in ("cmdline", "environ"):
                path = Path(f"/proc/{process.pid}/{what}")
                if process.poll() is None and path.exists():
                    pieces.append(path.read_bytes())
        pieces += [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]
        return b"\n".join(pieces)
