"""What a session looks like at the moment, as the page shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from imgbuild.core.errors import ImgbuildError, ManifestError
from imgbuild.core.events import (
    ActionEvent,
    ActionKind,
    Event,
    ImageEvent,
    JobEvent,
    Status,
    StoppingEvent,
    SummaryEvent,
    WarningEvent,
)
from imgbuild.core.image import Json
from imgbuild.run.purse import Purse

Phase = Literal["starting", "building", "asking", "watching", "broken", "stopping"]
_SAID = 6
"""Warnings that are kept on the page."""


@dataclass
class SessionState:
    """One session. Its members are what the page is told, by their names."""

    phase: Phase = "starting"
    placeholder: bool = False
    jobs: dict[str, dict[str, Json]] = field(default_factory=dict)
    """The running images by id: state, take, and what the service tells."""
    acting: dict[str, str] = field(default_factory=dict)
    """What the page is having done, by image."""
    failures: dict[str, dict[str, Json]] = field(default_factory=dict)
    """Why images could not be had, by id."""
    problems: list[dict[str, Json]] = field(default_factory=list)
    """What is wrong with the manifest or the lock."""
    said: list[str] = field(default_factory=list)
    question: dict[str, Json] | None = None
    """`number` and `text` of what is asked."""
    last: str | None = None
    """What the last round did."""
    spent: float = 0.0
    limit: float | None = None
    unit: str = "USD"

    def data(self, purse: Purse | None) -> Json:
        """All of it as JSON, with what is spent by now."""
        if purse is not None:
            self.spent, self.limit, self.unit = round(purse.spent, 6), purse.most, purse.unit
        plain: dict[str, Json] = asdict(self)
        return plain

    def begin(self) -> None:
        """A round begins."""
        self.phase = "building"
        self._forget_jobs()
        self.failures.clear()
        self.problems.clear()

    def hear(self, event: Event) -> bool:
        """Take in what a round, or a command of the page, tells. Whether files or results are others now."""
        if isinstance(event, ActionEvent) and event.action is ActionKind.GENERATE:
            self.jobs[event.id] = {"state": "waiting", "take": None, "detail": None, "progress": None}
        elif isinstance(event, JobEvent):
            self.jobs[event.id] = {
                "state": event.state.value,
                "take": event.take,
                "detail": event.detail,
                "progress": event.progress,
            }
        elif isinstance(event, ImageEvent):
            self.jobs.pop(event.id, None)
            self.failures.pop(event.id, None)
            failure = failure_of(event)
            if failure is not None:
                self.failures[event.id] = failure
            return True
        elif isinstance(event, WarningEvent):
            self.said = [*(one for one in self.said if one != event.message), event.message][-_SAID:]
        elif isinstance(event, StoppingEvent):
            self.phase = "stopping"
        return isinstance(event, SummaryEvent)

    def end(self, summary: SummaryEvent) -> None:
        """A round has ended."""
        self.phase = "watching"
        self._forget_jobs()
        names = ("generated", "derived", "restored", "conflicts", "failed")
        done = [f"{count} {name}" for name in names if (count := getattr(summary, name))]
        self.last = ", ".join(done) or None

    def fail(self, error: ImgbuildError) -> None:
        """There is no round before this is mended."""
        self.phase = "broken"
        self.problems = problems_of(error)

    def _forget_jobs(self) -> None:
        """Those of rounds; what the page is having done goes on."""
        self.jobs = {id: job for id, job in self.jobs.items() if id in self.acting}


def failure_of(event: ImageEvent) -> dict[str, Json] | None:
    """Why an image could not be had, or was left alone; None where all is well."""
    if event.error is not None:
        return {"kind": event.error.kind, "message": event.error.message}
    if event.status is Status.CONFLICT:
        return {"kind": "conflict", "message": "its file was changed by hand, and is left as it is"}
    return None


def problems_of(error: ImgbuildError) -> list[dict[str, Json]]:
    """An error, part by part, each with its place where it has one."""
    if not isinstance(error, ManifestError):
        return [{"message": error.message, "hint": error.remedy}]
    return [
        {
            "message": one.message,
            "hint": one.hint,
            "place": str(one.position) if one.position else None,
            "source": one.source_line,
            "column": one.position.column if one.position else None,
            "chain": list(one.chain),
        }
        for one in error.diagnostics
    ]
