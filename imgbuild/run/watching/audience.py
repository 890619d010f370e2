"""Who follows a session, and what it was asked for: all that the session knows of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.events import Event


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the command line says about a session."""

    targets: tuple[str, ...] = ()
    yes: bool = False
    max_cost: float | None = None


class Audience(Protocol):
    """Who follows a session: the terminal, a program, or a page in the browser."""

    def emit(self, event: Event) -> None:
        """Something happens in a round. The summary is its last event, unless a change ended it."""
        ...

    def changed(self, paths: Sequence[str]) -> None:
        """A round begins, for these files were changed; none of them, where it is the first one."""
        ...

    def error(self, error: ImgbuildError) -> None:
        """There is no new round before this is mended."""
        ...

    def watching(self, files: int) -> None:
        """All is done; so many files are watched."""
        ...

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to be asked."""
        ...

    async def ask(self, question: str) -> bool:
        """The answer to a question. Cancelled when the question is withdrawn."""
        ...
