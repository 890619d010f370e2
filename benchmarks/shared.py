"""What `build --locked` of a fresh machine takes beside a plain parallel download of the same files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import PYTHON, Command, Series, in_turns
from benchmarks.project import folder, hand_written, settle
from benchmarks.scale import Scale
from benchmarks.shared_store import blob_path, running_store
from benchmarks.table import Table, ratio, seconds

MOST = 1.3
"""Times a plain download, on a link such as offices have."""
LATENCY = 0.03
RATE = 25e6 / 8
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class _Case:
    """One link, one way to speak to the store, and files of one size."""

    link: str
    speaks: str
    files: int
    size: int
    """Bytes of each file."""
    narrow: bool = False


def measure(scale: Scale) -> Table:
    """Restore a project on a new machine, and download the same files plainly, in turns."""
    narrow = f"{RATE * 8 / 1e6:g} Mbit/s, {LATENCY * 1000:g} ms"
    cases = (
        _Case(narrow, "http", scale.of(200, 8), 128_000, narrow=True),
        _Case(narrow, "http", scale.of(1000, 8), 20_000, narrow=True),
        _Case("loopback", "http", scale.of(200, 8), 128_000),
        _Case("loopback", "http", scale.of(1000, 8), 20_000),
        _Case("loopback", "s3", scale.of(1000, 8), 20_000),
        _Case("loopback", "http", scale.of(40, 2), 8_000_000),
    )
    rows: list[tuple[str, ...]] = []
    ratios: list[float] = []
    for case in cases:
        plain, synced, build = _measure(case, scale.of(3, 1))
        if case.narrow:
            ratios.append(build.against(plain))
        rows.append(
            (
                case.link,
                case.speaks,
                f"{case.files:,}",
                f"{case.files * case.size / 1e6:.1f}",
                seconds(plain.wall),
                seconds(synced.wall),
                seconds(build.wall),
                ratio(build.against(plain)),
                seconds(plain.cpu),
                seconds(build.cpu),
                f"{1000 * (build.cpu - plain.cpu) / case.files:.1f}",
            )
        )
    return Table(
        "A fresh machine, from a shared cache",
        (
            "link", "store", "files", "MB", "plain s", "plain, synced s", "build s", "x plain", "plain CPU s",
            "build CPU s", "more CPU ms a file",
        ),
        tuple(rows),
        f"over a link of {narrow} at most {MOST:g}x a plain download",
        None if scale.small else max(ratios) <= MOST,
        (
            "the plain download is obstore's with 32 threads, into files; a build hashes what arrives, "
            "keeps it in its cache, hashes it again, and makes each output and its name durable",
            "on loopback there is no link to wait for: only CPU time and the disk's syncs are compared there",
        ),
    )  # fmt: skip


def _measure(case: _Case, rounds: int) -> tuple[Series, Series, Series]:
    latency, rate = (LATENCY, RATE) if case.narrow else (0.0, None)
    with folder() as base, running_store(latency, rate) as store:
        address = store.bazel if case.speaks == "http" else store.s3
        project = hand_written(base / "project", case.files, head=f"cache: {{remote: '{address}'}}\n")
        settle(project, size=case.size)
        digests = store.fill((project.root / "out").iterdir())
        paths = base / "paths"
        paths.write_text("\n".join(blob_path(digest, case.speaks) for digest in digests))
        environ = {**project.environ, **store.environ}
        into = base / "plain"

        def forget() -> None:
            for path in (into, project.cache, project.root / "out", project.root / ".imgbuild"):
                shutil.rmtree(path, ignore_errors=True)

        download = (PYTHON, "-m", "benchmarks.plain_download", address, str(paths), str(into))
        build = ("-m", "imgbuild", "build", "--locked", "--require-remote", "-q", "--output-format", "json")
        commands = (
            Command("plain", download, _ROOT, environ, prepare=forget),
            Command("synced", (*download, "--sync"), _ROOT, environ, prepare=forget),
            Command(
                "build",
                (PYTHON, *build),
                project.root,
                environ,
                expect=f'"restored": {case.files}',
                prepare=forget,
            ),
        )
        taken = in_turns(commands, rounds)
    return taken["plain"], taken["synced"], taken["build"]
