"""The display for people: data on standard output, everything else on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.events import (
    ActionEvent,
    ActionKind,
    ErrorEvent,
    Event,
    ImageEvent,
    JobEvent,
    Status,
    StoppingEvent,
    SummaryEvent,
    WarningEvent,
)
from imgbuild.ui.diagnostics import error_lines
from imgbuild.ui.progress import Progress, advance
from imgbuild.ui.spans import Line, Span, line
from imgbuild.ui.streams import Output
from imgbuild.ui.words import (
    action_lines,
    build_start,
    build_sum,
    image_lines,
    job_line,
    plan_lines,
    stopping_line,
    warning_line,
)

if TYPE_CHECKING:
    from imgbuild.ui.live import Foot


class TextDisplay:
    """Words. `verbosity` is -1 (quiet), 0 or 1 (every change of state)."""

    def __init__(self, out: Output, err: Output, *, verbosity: int = 0) -> None:
        self._out = out
        self._err = err
        self._verbosity = verbosity
        self._actions: dict[str, ActionEvent] = {}
        self._begun = False
        self._progress = Progress(started=time.monotonic())
        self._foot: Foot | None = None

    def handle(self, event: Event) -> None:
        """Show what a run tells, as it happens."""
        self._progress = advance(self._progress, event, time.monotonic())
        match event:
            case ActionEvent():
                self._actions[event.id] = event
            case JobEvent():
                self._begin()
                self._show_job(event)
            case ImageEvent() if event.status is not Status.UNCHANGED:
                self._begin()
                self._show_image(event)
            case WarningEvent():
                self._say([warning_line(event)])
            case StoppingEvent():
                self._say([stopping_line(event)])
            case ErrorEvent():
                self._say([line(Span("error", "bold red"), f": {event.message}")])
            case SummaryEvent():
                self.close()
                if self._verbosity >= 0:
                    self._out.lines([build_sum(event)])
            case _:
                pass
        if self._foot:
            self._foot.progress = self._progress

    def plan(
        self,
        actions: Sequence[ActionEvent],
        warnings: Sequence[WarningEvent],
        summary: SummaryEvent,
    ) -> None:
        """Print the plan; when quiet and nothing is to be done, nothing."""
        lines = plan_lines(actions, warnings, summary)
        if self._verbosity >= 0 or len(lines) > 1:
            self._out.lines(lines)

    def show(self, event: Event, lines: Sequence[Line]) -> None:
        """Print the lines."""
        self._out.lines(lines)

    def note(self, lines: Sequence[Line]) -> None:
        """Print the lines on standard error."""
        if self._verbosity >= 0:
            self._say(lines)

    def text(self, text: str) -> None:
        """Print a text as it is."""
        self._out.write(text)

    def error(self, error: ImgbuildError) -> None:
        """Print what is wrong, and what to do about it."""
        self.close()
        self._err.lines(error_lines(error))

    @property
    def can_ask(self) -> bool:
        """Whether there is a terminal to ask on and to answer from."""
        return self._err.live and sys.stdin is not None and sys.stdin.isatty()

    def ask(self, question: str) -> bool:
        """Show what is going to be done, then ask."""
        self.pose(question)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def pose(self, question: str) -> None:
        """Show what is going to be done, and the question."""
        self.close()
        if not self._begun:
            self._begun = True
            self._err.lines(text for action in self._actions.values() for text in action_lines(action))
            self._err.lines([(), build_start(tuple(self._actions.values()))])
        self._err.lines([line(Span(question, "bold"))])
        self._err.write("[y/N] ")

    def renew(self) -> None:
        """Begin as in the beginning."""
        self.close()
        self._actions = {}
        self._begun = False
        self._progress = Progress(started=time.monotonic())

    def close(self) -> None:
        """Wipe what moves off the terminal."""
        if self._foot:
            self._foot.stop()
            self._foot = None

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        actions = tuple(self._actions.values())
        if self._verbosity > 0:
            # What is in conflict is told when the build comes to it.
            work = [action for action in actions if action.action is not ActionKind.CONFLICT]
            self._say(text for action in work for text in action_lines(action))
        start = build_start(actions)
        if start and self._verbosity >= 0:
            self._say([start])

    def _show_job(self, event: JobEvent) -> None:
        if self._verbosity > 0:
            self._say([job_line(event)])
        if self._err.live and self._verbosity >= 0 and self._foot is None:
            # Imported late: nothing but a terminal with something running pays for it.
            from imgbuild.ui.live import Foot

            self._foot = Foot(self._err, self._progress)

    def _show_image(self, event: ImageEvent) -> None:
        wrong = event.status in (Status.FAILED, Status.CONFLICT)
        if self._verbosity < 0 and not wrong:
            return
        action = self._actions.get(event.id)
        if event.status is Status.CONFLICT and action:
            self._say(action_lines(action))
        else:
            self._say(image_lines(event, self._progress.unit))

    def _say(self, lines: Iterable[Line]) -> None:
        if self._foot:
            self._foot.lines(lines)
        else:
            self._err.lines(lines)
