"""What every display can do: one interface, whether a person, a program or a CI log reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.events import ActionEvent, Event, SummaryEvent, WarningEvent
from imgbuild.ui.spans import Line


class Display(Protocol):
    """Where everything that a command says goes."""

    def handle(self, event: Event) -> None:
        """Show what a run tells."""
        ...

    def plan(
        self,
        actions: Sequence[ActionEvent],
        warnings: Sequence[WarningEvent],
        summary: SummaryEvent,
    ) -> None:
        """Show what a build would do."""
        ...

    def show(self, event: Event, lines: Sequence[Line]) -> None:
        """Answer a question: the event for programs, the lines for people."""
        ...

    def note(self, lines: Sequence[Line]) -> None:
        """Say something by the way; for people only, and not when they want quiet."""
        ...

    def text(self, text: str) -> None:
        """Print a text as it is, in every format: a schema, a path."""
        ...

    def error(self, error: ImgbuildError) -> None:
        """Show what stopped the command."""
        ...

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to be asked."""
        ...

    def ask(self, question: str) -> bool:
        """Ask for a yes; anything else is a no."""
        ...

    def pose(self, question: str) -> None:
        """Show a question, and what it is about; the answer is read by somebody else."""
        ...

    def renew(self) -> None:
        """Another build begins: what the last one did is done with."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found."""
        ...
