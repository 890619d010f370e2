"""The page as a session's audience, beside the terminal: both hear everything, and either may answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from imgbuild.core.errors import ImgbuildError, UsageError
from imgbuild.core.events import Event, SummaryEvent
from imgbuild.live.board import Board
from imgbuild.live.state import SessionState
from imgbuild.run.watching.audience import Audience


class PageAudience:
    """Keeps the state that the page shows. `on_news` is called when files or results are others now."""

    def __init__(
        self, terminal: Audience, state: SessionState, board: Board, on_news: Callable[[], None]
    ) -> None:
        self._terminal = terminal
        self._state = state
        self._board = board
        self._on_news = on_news
        self._answer: asyncio.Future[bool] | None = None
        self._questions = 0

    def emit(self, event: Event) -> None:
        """Show what a round tells."""
        self._terminal.emit(event)
        if isinstance(event, SummaryEvent):
            self._state.end(event)
        self.hear(event)

    def hear(self, event: Event) -> None:
        """Show what a command of the page tells; the terminal hears it only if it is about a round."""
        if self._state.hear(event):
            self._on_news()
        self._tell()

    def changed(self, paths: Sequence[str]) -> None:
        """A round begins."""
        self._terminal.changed(paths)
        self._state.begin()
        self._on_news()
        self._tell()

    def error(self, error: ImgbuildError) -> None:
        """There is no new round before this is mended."""
        self._terminal.error(error)
        self._state.fail(error)
        self._tell()

    def watching(self, files: int) -> None:
        """All is done."""
        self._terminal.watching(files)

    @property
    def can_ask(self) -> bool:
        """The page is there, or can be opened."""
        return True

    async def ask(self, question: str) -> bool:
        """Ask on the page and, if there is one, on the terminal: the first answer counts."""
        self._questions += 1
        self._answer = asyncio.get_running_loop().create_future()
        phase, self._state.phase = self._state.phase, "asking"
        self._state.question = {"number": self._questions, "text": question}
        self._tell()
        waiting: list[asyncio.Future[bool]] = [self._answer]
        if self._terminal.can_ask:
            waiting.append(asyncio.ensure_future(self._terminal.ask(question)))
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            self._state.question = None
            if self._state.phase == "asking":
                self._state.phase = phase
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            self._tell()

    def answer(self, number: int, yes: bool) -> None:
        """What the page answered.

        Raises:
            UsageError: that is not the question any more.
        """
        question = self._state.question
        if question is None or question["number"] != number or self._answer is None or self._answer.done():
            raise UsageError("this is not asked any more")
        self._answer.set_result(yes)

    def _tell(self) -> None:
        self._board.touch("session")
