"""F16: a cache may grow as large as its disk: nothing is ever dropped to make room, and checking it is frugal."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from project_folder import ProjectFolder
from stored import JSON, Site

from imgbuild.core.results import StoredResult
from imgbuild.store.blobs import Blob
from imgbuild.store.cache import Cache, open_cache

MIB = 1 << 20


@pytest.fixture
def site(project: ProjectFolder, emulator: Any, zygote: Any) -> Iterator[Site]:
    site = Site(project, emulator, zygote)
    yield site
    # Temporary folders of tests are kept for a while; gigabytes are not.
    shutil.rmtree(site.cache, ignore_errors=True)


def described(number: int, blob: Blob) -> StoredResult:
    """What a paid result's record says, of a key of its own."""
    return StoredResult(
        key=f"{number:064x}",
        take=1,
        digest=blob.digest,
        format="png",
        width=1,
        height=1,
        bytes=blob.bytes,
        spec={"prompt": f"picture {number}", "asked": {}, "declared": {}},
        provider="uniall",
        image_id=f"i{number}",
        created="2026-01-01T00:00:00+00:00",
        declared=(f"{number:064x}",),
    )


def fill(cache: Cache, folder: Path, sizes: list[int]) -> set[str]:
    """Put files of these sizes (in bytes) into the cache, each as a result; returns their digests."""
    block = random.Random(16).randbytes(MIB)
    digests = set()
    for number, size in enumerate(sizes):
        path = folder / "arriving"
        with path.open("wb") as file:
            file.write(number.to_bytes(8, "big"))
            for start in range(8, size, MIB):
                file.write(block[: min(MIB, size - start)])

        def make(blob: Blob, number: int = number) -> StoredResult:
            return described(number, blob)

        digests.add(cache.keep_result(path, make).digest)
    return digests


MEASURED = """\
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "imgbuild", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
"""Runs a command, and says at the end how many KiB of memory it had at most."""


def verify(site: Site) -> tuple[dict[str, Any], int]:
    """What `cache verify` found, and the most memory that it had, in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "cache", "verify", *JSON],
        cwd=site.project.root,
        env=site.project.environ,
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
        check=True,
    )
    *lines, most = done.stdout.splitlines()
    return json.loads(lines[-1])["value"], int(most) * 1024


@pytest.mark.timeout(600)
def test_gigabytes_stay_and_are_checked_without_being_held_in_memory(
    site: Site, full: bool, count: Any, tmp_path: Path
) -> None:
    site.write({"hero": {}})
    site.run("build")
    before = site.project.files()
    _, least = verify(site)
    large, small = (1024 * MIB, 512) if full else (96 * MIB, 32)
    sizes = [large, *[2 * MIB] * small]
    total = sum(sizes)
    assert total >= (2048 if full else 160) * MIB
    cache = open_cache(site.cache)
    digests = fill(cache, tmp_path, sizes)
    cache.close()
    count(len(sizes))
    assert len(digests) == len(sizes)

    stats = site.run("cache", "stats").events[-1]["value"]
    checked, most = verify(site)
    assert checked["files"] == stats["blobs"] == len(sizes) + 2
    assert checked["bytes"] == stats["bytes"] > total
    assert (checked["corrupt"], checked["lost"], checked["rebuilt"]) == ([], [], 0)
    assert stats["results"] == len(sizes) + 1
    assert most - least < 48 * MIB
    assert all(site.blob(digest).is_file() for digest in digests)

    site.output().unlink()
    assert site.run("build").counts() == {"restored": 1}
    assert site.project.files() == before
    assert site.paid() == 1


@pytest.mark.timeout(600)
def test_no_record_is_ever_evicted(site: Site, full: bool, count: Any, tmp_path: Path) -> None:
    site.write({"hero": {}})
    site.run("build")
    number = 20_000 if full else 1_000
    cache = open_cache(site.cache)
    path = tmp_path / "arriving"
    path.write_bytes(os.urandom(1000))
    first = cache.keep_result(path, lambda blob: described(0, blob))
    # Long prompts, as people write them: what diskcache drops by itself, it drops by size.
    spec = {**first.spec, "prompt": "a lighthouse " * 300}
    wanted = {f"{n:064x}" for n in range(number)}
    for start in range(0, number, 1000):
        keys = (f"{n:064x}" for n in range(start, start + 1000))
        cache.records.put(replace(first, key=key, spec=spec, declared=(key,)) for key in keys)
    cache.close()
    count(number)

    stats = site.run("cache", "stats").events[-1]["value"]
    assert stats["results"] == number + 1
    assert site.run("cache", "verify").events[-1]["value"]["lost"] == []
    again = open_cache(site.cache)
    found = {result.key for result in again.records.all_results()}
    again.close()
    assert wanted <= found
    assert len(found) == number + 1
    site.output().unlink()
    assert site.run("build").counts() == {"restored": 1}
    assert site.run("cache", "stats").events[-1]["value"]["results"] == number + 1
    assert site.paid() == 1
