"""`imgbuild cache stats|verify|gc|push|pull|path`: what was paid for, and what comes from it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.commands.arguments import add_targets
from imgbuild.commands.context import Context
from imgbuild.core.errors import UsageError
from imgbuild.core.events import DataEvent
from imgbuild.core.image import Json
from imgbuild.ui.spans import Line, Span, line, table
from imgbuild.ui.values import age, size_in_bytes

if TYPE_CHECKING:
    from imgbuild.store.cache import Cache, CacheStats
    from imgbuild.store.check import VerifyReport
    from imgbuild.store.collect import GcReport

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_BYTES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SECONDS = {"S": 1, "MIN": 60, "H": 3600, "D": 86400, "W": 7 * 86400}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "question",
        choices=("stats", "verify", "gc", "push", "pull", "path"),
        help="stats: how much there is; verify: hash and repair it; gc: make room; push, pull: send to the "
        "shared cache or fetch from it what one side lacks; path: the folder",
    )
    add_targets(parser)
    gc = parser.add_argument_group("gc")
    gc.add_argument("--max-size", type=_size, metavar="SIZE", help="keep at most this much, e.g. 5GB")
    gc.add_argument("--max-age", type=_age, metavar="AGE", help="keep nothing older than this, e.g. 90d")
    gc.add_argument("--dry-run", action="store_true", help="remove nothing, only say what would go")


def run(args: argparse.Namespace, context: Context) -> int:
    """Answer; returns the exit code: 1 when something is corrupt or lost.

    Raises:
        ImgbuildError: the cache, or a lock that needs it, cannot be read.
    """
    if args.question == "gc" and args.max_size is None and args.max_age is None:
        raise UsageError("gc needs a bound", remedy="give --max-size 5GB, --max-age 90d, or both")
    if args.targets and args.question not in ("push", "pull"):
        raise UsageError(f"cache {args.question} takes no targets", remedy="push and pull do")
    if args.question in ("push", "pull"):
        return _transfer(args, context)
    cache = open_own_cache(context)
    display = context.display
    match args.question:
        case "path":
            display.text(f"{cache.root}\n")
            return 0
        case "stats":
            stats = cache.stats()
            display.show(
                DataEvent("cache", {"path": str(cache.root), **asdict(stats)}), _stats(cache.root, stats)
            )
            return 0
        case "verify":
            report = cache.verify(repair=True)
            display.show(DataEvent("verify", _verify_value(report)), _verify(report))
            return 0 if report.ok else 1
    collected = cache.gc(
        max_bytes=args.max_size,
        max_age_seconds=args.max_age,
        keep=_needed(context),
        dry_run=args.dry_run,
    )
    display.show(DataEvent("gc", _gc_value(collected)), _gc(collected))
    return 0


def open_own_cache(context: Context) -> Cache:
    """The project's cache when called in a project, else the user's own."""
    from imgbuild.store.cache import default_cache_dir, open_cache

    if context.environ.get("IMGBUILD_CACHE_DIR") or not context.manifest().is_file():
        return open_cache(default_cache_dir(context.environ))
    invocation = context.invocation()
    from imgbuild.run.workspace import cache_dir, load

    return open_cache(cache_dir(invocation, load(invocation).project))


def _transfer(args: argparse.Namespace, context: Context) -> int:
    """Push or pull; 1 where something that the lock names is nowhere."""
    invocation = context.invocation(require_remote=True)
    from imgbuild.run.shared_transfer import pull, push
    from imgbuild.run.workspace import open_workspace

    moved = (push if args.question == "push" else pull)(open_workspace(invocation), args.targets)
    done = "sent" if args.question == "push" else "fetched"
    has = f"{moved.results} results and {moved.outputs} files made from them"
    lines = [line(f"{moved.files} files, {size_in_bytes(moved.bytes)} {done}; {has} are on both sides")]
    if moved.absent:
        lines.append(line(Span("absent", "bold red"), f"  {moved.absent} files that the lock names"))
    context.display.show(DataEvent(args.question, {**asdict(moved)}), lines)
    return 1 if moved.absent else 0


def _needed(context: Context) -> Collection[str]:
    """Every digest that a lock of this project, of whatever profile, may want to restore."""
    from imgbuild.core.lock import parse_lock

    needed: set[str] = set()
    folder = context.manifest().parent
    for path in sorted(folder.glob("imgbuild*.lock")):
        for image in parse_lock(_read(path), path.as_posix()).images.values():
            needed |= {image.source.digest, *(output.digest for output in image.outputs.values())}
    return needed


def _read(path: Path) -> str:
    from imgbuild.store.lockfile import read_text

    return read_text(path) or ""


def _size(text: str) -> int:
    return int(_measure(text, _BYTES, "a size such as 5GB or 500MiB"))


def _age(text: str) -> float:
    return _measure(text, _SECONDS, "an age such as 90d, 12h or 2w")


def _measure(text: str, units: dict[str, int], what: str) -> float:
    match = _AMOUNT.fullmatch(text.strip())
    factor = units.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not {what}')
    return float(match[1]) * factor


def _stats(root: Path, stats: CacheStats) -> list[Line]:
    rows = [
        ("folder", str(root)),
        ("files", f"{stats.blobs}, {size_in_bytes(stats.bytes)}"),
        ("results", f"{stats.results} that were generated"),
        ("outputs", f"{stats.outputs} that were derived"),
    ]
    if stats.quarantined:
        rows.append(("quarantine", f"{stats.quarantined} files, {size_in_bytes(stats.quarantined_bytes)}"))
    return table([Span(name, "dim"), Span(value)] for name, value in rows)


def _verify_value(report: VerifyReport) -> dict[str, Json]:
    return {
        "files": report.blobs,
        "bytes": report.bytes,
        "corrupt": [{"digest": one.digest, "images": list(one.image_ids)} for one in report.corrupt],
        "lost": [{"kind": one.kind, "name": one.name, "digest": one.digest} for one in report.lost],
        "rebuilt": report.rebuilt,
    }


def _verify(report: VerifyReport) -> list[Line]:
    lines = [
        line(Span("corrupt", "bold red"), f"  {one.digest}", Span(f"  {_whose(one.image_ids)}", "dim"))
        for one in report.corrupt
    ]
    lines += [
        line(Span("lost", "bold red"), f"  {one.kind} {one.name}", Span(f"  {one.digest}", "dim"))
        for one in report.lost
    ]
    if report.corrupt:
        lines.append(
            line(
                "what is corrupt lies in quarantine; the next build fetches it again or says what is missing"
            )
        )
    checked = f"{report.blobs} files, {size_in_bytes(report.bytes)}"
    rebuilt = f", {report.rebuilt} records put back" if report.rebuilt else ""
    state = (
        "all as they should be" if report.ok else f"{len(report.corrupt)} corrupt, {len(report.lost)} lost"
    )
    return [*lines, line(f"{checked}: {state}{rebuilt}")]


def _gc_value(report: GcReport) -> dict[str, Json]:
    return {
        "dry_run": report.dry_run,
        "removed": [
            {"digest": one.digest, "kind": one.kind, "bytes": one.bytes, "images": list(one.image_ids)}
            for one in report.removed
        ],
        "freed_bytes": report.freed_bytes,
        "kept": report.kept_blobs,
        "kept_bytes": report.kept_bytes,
    }


def _gc(report: GcReport) -> list[Line]:
    rows = table(
        [
            Span(one.kind, "red" if one.kind == "result" else "dim"),
            Span(size_in_bytes(one.bytes)),
            Span(f"{age(one.age)} old", "dim"),
            Span(f"{one.digest[:12]}…", "dim"),
            Span(_whose(one.image_ids), "bold"),
        ]
        for one in report.removed
    )
    done = "would be removed" if report.dry_run else "removed"
    kept = f"{report.kept_blobs} files, {size_in_bytes(report.kept_bytes)} stay"
    return [*rows, line(f"{len(report.removed)} files, {size_in_bytes(report.freed_bytes)} {done}; {kept}")]


def _whose(ids: tuple[str, ...]) -> str:
    return ", ".join(ids) if ids else "derived"
