"""The counting store in a process of its own, and what builders have to be told to use it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.measure import PYTHON, BenchmarkError


@dataclass(frozen=True, slots=True)
class Counted:
    """What builders did to a store. Requests by kind of object and method; the rest in bytes."""

    requests: Mapping[str, int]
    received: int
    sent: int
    kept: Mapping[str, int]

    def reads(self, kind: str = "") -> int:
        """Requests that only read; with `kind`, those for one kind of object."""
        return self._count(kind, ("GET", "HEAD"))

    def writes(self, kind: str = "") -> int:
        """Requests that store or remove."""
        return self._count(kind, ("PUT", "DELETE"))

    def _count(self, kind: str, methods: tuple[str, ...]) -> int:
        named = ((name.split(" "), count) for name, count in self.requests.items())
        return sum(count for (what, method), count in named if method in methods and kind in ("", what))


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A running store."""

    port: int

    @property
    def bazel(self) -> str:
        """For `cache.remote`, by Bazel's protocol."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def s3(self) -> str:
        """For `cache.remote`, as an object store."""
        return "s3://bucket/cache"

    @property
    def environ(self) -> dict[str, str]:
        """What a builder is told to use it as an object store."""
        return {
            "AWS_ENDPOINT_URL": self.bazel,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
        }

    def fill(self, files: Iterable[Path]) -> list[str]:
        """Put files there as blobs, for either way to speak to it; returns the digests.

        Raises BenchmarkError.
        """
        digests: list[str] = []
        connection = HTTPConnection("127.0.0.1", self.port)
        for path in files:
            data = path.read_bytes()
            digests.append(hashlib.sha256(data).hexdigest())
            for folder, speaks in (("", "http"), ("/bucket/cache", "s3")):
                connection.request("PUT", f"{folder}/{blob_path(digests[-1], speaks)}", data)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise BenchmarkError(f"the store answered {answer.status}")
        connection.close()
        return digests

    def counted(self) -> Counted:
        """What was done since this was last asked."""
        with urllib.request.urlopen(f"{self.bazel}/_counts") as answer:
            told = json.load(answer)
        return Counted(told["requests"], told["received"], told["sent"], told["kept"])


def blob_path(digest: str, speaks: str) -> str:
    """Where a blob lies, below the address for `http` (Bazel's protocol) or `s3`."""
    return f"cas/{digest}" if speaks == "http" else f"imgbuild-1/blobs/{digest[:2]}/{digest}"


@contextmanager
def running_store(latency: float = 0.0, rate: float | None = None) -> Iterator[StoreAddress]:
    """Serve while the block runs. `latency` in seconds, `rate` in bytes a second.

    Raises:
        BenchmarkError: it did not start.
    """
    words = ["--latency", str(latency), *(("--rate", str(rate)) if rate else ())]
    process = subprocess.Popen(
        [PYTHON, "-m", "benchmarks.store_server", *words],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise BenchmarkError("the store did not start")
        yield StoreAddress(int(port))
    finally:
        process.terminate()
        process.communicate()
