"""Displays for programs: JSON lines, and the annotations of GitHub Actions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.events import (
    ActionEvent,
    ActionKind,
    ErrorEvent,
    Event,
    ImageEvent,
    Status,
    SummaryEvent,
    WarningEvent,
    to_json,
)
from imgbuild.core.redact import escape
from imgbuild.ui.console import TextDisplay
from imgbuild.ui.diagnostics import annotation, error_events, placed_events
from imgbuild.ui.spans import Line, line, render
from imgbuild.ui.streams import Output

_LAYOUT = re.compile(r"([\n\t])")
_COMMAND = re.compile(r"^\s*:(?=:)|#(?=#\[)")
"""Where the runner sees a command: `::` that begins a line, and `##[` anywhere (its ActionCommand.cs)."""


class JsonDisplay:
    """One JSON object a line on standard output."""

    can_ask = False

    def __init__(self, out: Output) -> None:
        self._out = out

    def handle(self, event: Event) -> None:
        """Print an event. Actions come in thousands and at once, so they wait for what follows them."""
        text = json.dumps(_without_controls(to_json(event)), allow_nan=False)
        self._out.write(f"{text}\n", flush=not isinstance(event, ActionEvent))

    def plan(
        self,
        actions: Sequence[ActionEvent],
        warnings: Sequence[WarningEvent],
        summary: SummaryEvent,
    ) -> None:
        """Print what would be done; unchanged images are left out."""
        for action in actions:
            if action.action is not ActionKind.NONE:
                self.handle(action)
        for warning in warnings:
            self.handle(warning)
        self.handle(summary)

    def show(self, event: Event, lines: Sequence[Line]) -> None:
        """Print the event."""
        self.handle(event)

    def note(self, lines: Sequence[Line]) -> None:
        """Nothing: programs read events."""

    def text(self, text: str) -> None:
        """Print a text as it is."""
        self._out.write(text)

    def error(self, error: ImgbuildError) -> None:
        """Print an error event for each thing that is wrong."""
        for event in error_events(error):
            self.handle(event)

    def ask(self, question: str) -> bool:
        """Nobody is there."""
        return False

    def pose(self, question: str) -> None:
        """Nobody is there."""

    def renew(self) -> None:
        """Nothing is kept of a build."""

    def close(self) -> None:
        """Nothing is held open."""


class _Log(Output):
    """A log that GitHub's runner reads for commands: no text from outside becomes one."""

    def __init__(self, output: Output) -> None:
        super().__init__(output.stream)
        self._output = output

    def write(self, text: str, *, flush: bool = True) -> None:
        self._output.write(text, flush=flush)

    def lines(self, lines: Iterable[Line]) -> None:
        super().lines(line(_COMMAND.sub(r"\g<0> ", render(spans, colour=False))) for spans in lines)


class GithubDisplay(TextDisplay):
    """Words for the log, and an annotation for each error, failed image and warning."""

    can_ask = False

    def __init__(self, out: Output, err: Output, *, verbosity: int = 0) -> None:
        super().__init__(_Log(out), _Log(err), verbosity=verbosity)

    def handle(self, event: Event) -> None:
        """Show an event in words; problems as annotations too."""
        super().handle(event)
        if isinstance(event, ErrorEvent):
            self.text(f"{annotation(event)}\n")
        elif isinstance(event, WarningEvent):
            about = f"{event.id}: " if event.id else ""
            self.text(f"{annotation(ErrorEvent(about + event.message), 'warning')}\n")
        elif isinstance(event, ImageEvent) and event.status in (Status.FAILED, Status.CONFLICT):
            self.text(f"{annotation(_problem(event))}\n")

    def error(self, error: ImgbuildError) -> None:
        """Show an error in words, and as annotations."""
        super().error(error)
        for event in placed_events(error):
            self.text(f"{annotation(event)}\n")


def _problem(event: ImageEvent) -> ErrorEvent:
    message = f"{event.id}: changed by hand, left alone"
    if event.error:
        message = f"{event.id}: {event.error.message} ({event.error.kind})"
    if event.at is None:
        return ErrorEvent(message)
    return ErrorEvent(message, event.at.file, event.at.line, event.at.column)


def _without_controls(value: Any) -> Any:
    """Decoded texts hold no control characters but their own newlines and tabs."""
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(part if part in ("\n", "\t") else escape(part) for part in _LAYOUT.split(value))
    if isinstance(value, list):
        return [_without_controls(item) for item in value]
    if isinstance(value, dict):
        return {_without_controls(name): _without_controls(item) for name, item in value.items()}
    return value
