"""`imgbuild spend`: what was paid, by provider, model, month and image."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.core.events import DataEvent, WarningEvent
from imgbuild.ui.spans import line

if TYPE_CHECKING:
    from imgbuild.core.spending import Grouping

_GROUPINGS: tuple[Grouping, ...] = ("provider", "model", "month", "image")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("--by", choices=_GROUPINGS, help="only this table, and all of it")
    parser.add_argument(
        "--since", type=_day, metavar="DAY", help="from this day or month on, UTC: 2026-11 or 2026-11-21"
    )
    parser.add_argument("--all", action="store_true", help="every project that uses this cache")


def run(args: argparse.Namespace, context: Context) -> int:
    """Add up; returns the exit code.

    Raises:
        ImgbuildError: no manifest here, the cache cannot be read, or a part of the journal cannot.
    """
    invocation = context.invocation(needs_manifest=not args.all)
    from imgbuild.core.spending import spent
    from imgbuild.run.spend import list_payments, open_project_cache
    from imgbuild.ui.spend_words import ESTIMATED, TOP, spend_lines

    cache, unread = open_project_cache(invocation)
    project = None if args.all else str(invocation.root)
    payments, trouble = list_payments(cache, project=project, since=args.since)
    for warning in (*([unread] if unread else []), *cache.warnings()):
        context.display.handle(WarningEvent(warning))
    tables = ("project", *_GROUPINGS) if args.all else _GROUPINGS
    sums = spent(payments, ("total", *([args.by] if args.by else tables), "unsettled"))
    whose = "on this cache" if args.all else "by this project"
    if args.since:
        whose += f" since {args.since}"
    for one, lines in spend_lines(sums, whose, top=None if args.by else TOP):
        context.display.show(DataEvent("spend", asdict(one)), lines)
    if payments:
        context.display.note([line(ESTIMATED)])
    if trouble:
        raise trouble
    return 0


def _day(text: str) -> date:
    match = _DAY.fullmatch(text)
    try:
        if match:
            return date(int(match[1]), int(match[2]), int(match[3] or 1))
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f'"{text}" is no month or day such as 2026-11 or 2026-11-21')
