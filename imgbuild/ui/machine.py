"""Displays for programs: JSON lines, and the annotations of GitHub Actions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
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
from imgbuild.ui.diagnostics import annotation, error_events
from imgbuild.ui.spans import Line
from imgbuild.ui.streams import Output

_LAYOUT = re.compile(r"([\n\t])")


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

    def close(self) -> None:
        """Nothing is held open."""


class GithubDisplay(TextDisplay):
    """Words for the log, and an annotation for each error, failed image and warning."""

    can_ask = False

    def handle(self, event: Event) -> None:
        """Show an event in words; problems as annotations too."""
        super().handle(event)
        if isinstance(event, ErrorEvent):
            self.text(f"{annotation(event)}\n")
        elif isinstance(event, WarningEvent):
            about = f"{event.id}: " if event.id else ""
            self.text(f"{annotation(ErrorEvent(about + event.message), 'warning')}\n")
        elif isinstance(event, ImageEvent) and event.status is Status.FAILED and event.error:
            message = f"{event.id}: {event.error.message} ({event.error.kind})"
            self.text(f"{annotation(ErrorEvent(message))}\n")
        elif isinstance(event, ImageEvent) and event.status is Status.CONFLICT:
            self.text(f"{annotation(ErrorEvent(f'{event.id}: changed by hand, left alone'))}\n")

    def error(self, error: ImgbuildError) -> None:
        """Show an error in words, and as annotations."""
        super().error(error)
        for event in error_events(error):
            self.text(f"{annotation(event)}\n")


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
