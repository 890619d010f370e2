"""What is running, as a value: events go in, the lines of the live display come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from imgbuild.core.events import (
    ActionEvent,
    ActionKind,
    Event,
    ImageEvent,
    JobEvent,
    JobState,
    Status,
    StoppingEvent,
)
from imgbuild.ui.spans import Line, Span, Style, cells, clip, line, pad
from imgbuild.ui.values import clock, money
from imgbuild.ui.words import STATES

_WORK = (ActionKind.GENERATE, ActionKind.DERIVE, ActionKind.RESTORE)
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BAR = 16
_ID_WIDTH = 36


@dataclass(frozen=True, slots=True)
class Job:
    """One running take. `started` is in seconds of the display's clock."""

    event: JobEvent
    started: float


@dataclass(frozen=True, slots=True)
class Progress:
    """A build as far as it has come."""

    started: float = 0.0
    total: int = 0
    done: int = 0
    failed: int = 0
    spent: float = 0.0
    estimate: float = 0.0
    unknown: bool = False
    """Some prices are not known."""
    unit: str = "USD"
    jobs: Mapping[tuple[str, int], Job] = field(default_factory=dict)
    ends: float | None = None
    """The build is ending, and waits until then at most, on the display's clock."""


def advance(progress: Progress, event: Event, now: float) -> Progress:
    """The progress after an event."""
    if isinstance(event, ActionEvent) and event.action in _WORK:
        return replace(
            progress,
            total=progress.total + 1,
            estimate=progress.estimate + (event.cost or 0.0),
            unknown=progress.unknown or event.cost is None,
            unit=event.unit or progress.unit,
        )
    if isinstance(event, JobEvent):
        key = (event.id, event.take)
        started = progress.jobs[key].started if key in progress.jobs else now
        return replace(progress, jobs={**progress.jobs, key: Job(event, started)})
    if isinstance(event, StoppingEvent):
        waiting = {key: job for key, job in progress.jobs.items() if key[0] in event.waiting_for}
        return replace(progress, jobs=waiting, ends=now + event.seconds)
    if isinstance(event, ImageEvent):
        return replace(
            progress,
            done=progress.done + (event.status not in (Status.UNCHANGED, Status.CONFLICT)),
            failed=progress.failed + (event.status is Status.FAILED),
            spent=progress.spent + (event.cost or 0.0),
            jobs={key: job for key, job in progress.jobs.items() if key[0] != event.id},
        )
    return progress


def frame(progress: Progress, now: float, width: int, height: int) -> list[Line]:
    """The live lines: each running image, then the sum; never more than `height` lines."""
    room = max(height - 2, 1)
    jobs = sorted(progress.jobs.values(), key=_liveliness)
    shown, hidden = jobs[:room], len(jobs) - len(jobs[:room])
    id_width = min(max((cells(job.event.id) for job in shown), default=0), _ID_WIDTH)
    lines = [_job(job, now, width, id_width) for job in shown]
    if hidden:
        lines.append(line(Span(f"  and {hidden} more", "dim")))
    return [*lines, _sum(progress, now)]


def _liveliness(job: Job) -> tuple[bool, float]:
    """Those that wait come last; else the longest running first, so that lines do not jump."""
    return job.event.state is JobState.WAITING, job.started


def _job(job: Job, now: float, width: int, id_width: int) -> Line:
    event = job.event
    spinner = _SPINNER[int(now * 10) % len(_SPINNER)] if event.state is not JobState.WAITING else "·"
    style: Style = "yellow" if event.state is JobState.RETRYING else ""
    take = f" take {event.take}" if event.take > 1 else ""
    # A service's own word that only repeats the state would be noise.
    detail = f" ({event.detail})" if event.detail and event.state is not JobState.RUNNING else ""
    parts: list[str | Span] = [
        Span(f"  {spinner} ", "cyan"),
        Span(pad(clip(event.id, id_width), id_width), "bold"),
        Span(f"  {event.provider}{take}", "dim"),
        "  ",
        Span(f"{STATES[event.state]}{detail}", style),
        Span(f"  {clock(now - job.started)}", "dim"),
    ]
    if event.progress is not None and event.state is JobState.RUNNING:
        full = round(min(max(event.progress, 0.0), 1.0) * _BAR)
        bar = (Span("  " + "━" * full, "green"), Span("╌" * (_BAR - full), "dim"), f" {event.progress:4.0%}")
        if sum(cells(p.text if isinstance(p, Span) else p) for p in (*parts, *bar)) <= width:
            parts += bar
    return line(*parts)


def _sum(progress: Progress, now: float) -> Line:
    parts: list[str | Span] = [Span(f"  {progress.done}/{progress.total}", "bold"), " done"]
    if progress.ends is not None:
        parts += [", ", Span(f"stopping in {clock(max(progress.ends - now, 0.0))} at the latest", "yellow")]
    if progress.failed:
        parts += [", ", Span(f"{progress.failed} failed", "red")]
    if progress.estimate or progress.spent:
        spent = money(progress.spent, progress.unit)
        if progress.estimate:
            spent = f"{spent.split()[0]} of about {money(progress.estimate, progress.unit)}"
        parts.append(f", {spent} spent")
    if progress.unknown:
        parts += [", ", Span("some prices unknown", "yellow")]
    return line(*parts, Span(f"  {clock(now - progress.started)}", "dim"))
