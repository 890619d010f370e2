"""`imgbuild clean`: remove the files that builds made and nobody changed since."""

from __future__ import annotations

import argparse

from imgbuild.commands.context import Context
from imgbuild.core.events import DataEvent
from imgbuild.ui.spans import Span, line


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "--stale", action="store_true", help="only files of images that the manifest no longer has"
    )
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, only say what would go")


def run(args: argparse.Namespace, context: Context) -> int:
    """Clean; returns the exit code.

    Raises:
        ImgbuildError: the manifest or the lock is wrong, or a file cannot be removed.
    """
    invocation = context.invocation()
    from imgbuild.run.clean import clean
    from imgbuild.run.workspace import open_workspace

    display = context.display
    entries = clean(open_workspace(invocation), stale=args.stale, dry_run=args.dry_run)
    removed = "would remove" if args.dry_run else "removed"
    for entry in entries:
        value = {"path": entry.path, "action": entry.action, "why": entry.why, "dry_run": args.dry_run}
        gone = entry.action == "remove"
        sign = Span(removed, "red") if gone else Span("kept", "yellow")
        why = () if gone else (f": {entry.why}",)
        display.show(DataEvent("file", value), [line(sign, "  ", entry.path, *why)])
    if not entries:
        display.note([line("nothing to clean")])
    return 0
