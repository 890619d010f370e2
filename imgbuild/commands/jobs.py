"""`imgbuild jobs [forget|retry ID]`: paid tasks that are open, and what may have been charged."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from imgbuild.commands.context import Context
from imgbuild.core.errors import UsageError
from imgbuild.core.events import DataEvent, WarningEvent
from imgbuild.ui.spans import Span, line, table
from imgbuild.ui.values import money

if TYPE_CHECKING:
    from imgbuild.core.jobs import OpenJob

_DECISIONS = {"forget": "forgotten", "retry": "retried"}
_FOR_REPLAY = ("draft", "ready")
"""Members of a job that only a build can make use of."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "decision",
        nargs="?",
        choices=tuple(_DECISIONS),
        help="forget: give it up; retry: let the next build submit it again",
    )
    parser.add_argument("id", nargs="?", metavar="ID", help="the job, as the list shows it")


def run(args: argparse.Namespace, context: Context) -> int:
    """List or decide; returns the exit code.

    Raises:
        ImgbuildError: the cache cannot be read, or there is no such job.
    """
    from imgbuild.commands.cache import open_own_cache
    from imgbuild.core.jobs import End
    from imgbuild.run.open_jobs import decide, list_jobs, settle_all

    cache = open_own_cache(context)
    if args.decision is not None:
        if args.id is None:
            raise UsageError(f"{args.decision} needs the id of a job", remedy="imgbuild jobs lists them")
        job = decide(cache, args.id, End(_DECISIONS[args.decision]))
        context.display.note([line(f"{job.image_id}: the next build submits it again")])
        return 0
    settle_all(cache)
    jobs, trouble = list_jobs(cache)
    for job, row in zip(jobs, table(_row(job) for job in jobs), strict=True):
        context.display.show(DataEvent("job", _members(job)), [row])
    for warning in cache.warnings():
        context.display.handle(WarningEvent(warning))
    if trouble:
        raise trouble
    if not jobs:
        context.display.note([line("no paid task is open")])
    return 0


def _members(job: OpenJob) -> dict[str, Any]:
    shown = {field.name: getattr(job, field.name) for field in fields(job) if field.name not in _FOR_REPLAY}
    members: dict[str, Any] = json.loads(json.dumps(shown))
    return members


def _row(job: OpenJob) -> list[Span]:
    unknown = job.stage.value == "unknown"
    detail = job.reason if unknown else f"task {job.task_id}"
    return [
        Span(job.id, "dim"),
        Span(job.image_id, "bold"),
        Span(job.stage.value, "yellow" if unknown else "green"),
        Span(f"{job.provider} {job.origin}"),
        Span(job.since, "dim"),
        Span(money(job.cost, job.unit or "USD") if job.cost else "", "dim"),
        Span(detail or ""),
    ]
