"""What the page may have done: the functions of the commands, each on a project opened anew, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from imgbuild.core.errors import UsageError
from imgbuild.core.events import Emit, Event, ImageEvent, JobEvent, JobState, SummaryEvent
from imgbuild.core.image import Json
from imgbuild.live.audience import PageAudience
from imgbuild.live.board import Board
from imgbuild.live.editor import open_in_editor
from imgbuild.live.state import SessionState, failure_of
from imgbuild.live.view import View, find_image
from imgbuild.run.adopt import adopt_file, adopt_outputs
from imgbuild.run.build import BuildOptions
from imgbuild.run.choose import pick, pick_result, price_of_reroll, reroll
from imgbuild.run.interruption import Interruption
from imgbuild.run.notes import write_note
from imgbuild.run.watching.session import Session
from imgbuild.run.workspace import Invocation, Workspace, open_workspace

MAX_COUNT = 16
"""New takes that one click may ask for."""
_AT_ONCE = 8

Done = dict[str, Json]
"""What came of an action: `ok`, and `failures` of the images; or a `quote` to be agreed to first."""
Work = Callable[[Workspace, Emit], int]
T = TypeVar("T")


class _Paid:
    """What a reroll costs: nothing until something is sent, then all of it until the summary tells."""

    def __init__(self, most: float | None) -> None:
        self._most = most
        self.amount: float | None = 0.0

    def hear(self, event: Event) -> None:
        """Take in what the reroll tells."""
        if isinstance(event, JobEvent) and event.state is not JobState.WAITING:
            self.amount = self._most
        elif isinstance(event, SummaryEvent):
            self.amount = event.cost


class Actions:
    """Each is one action on one image; no two go on for the same image. To be used on the event loop.

    Every payment goes through the session's purse.
    """

    def __init__(
        self,
        invocation: Invocation,
        state: SessionState,
        audience: PageAudience,
        board: Board,
        view: View,
        session: Session,
    ) -> None:
        self._invocation = invocation
        self._state = state
        self._audience = audience
        self._board = board
        self._view = view
        self._session = session
        self._threads = ThreadPoolExecutor(_AT_ONCE, "page")
        self._paying: set[Interruption] = set()
        self._stopping = False

    async def pick(self, id: str, take: int | str) -> Done:
        """Make a take the accepted one: its number, or the handle of an earlier result."""

        def work(workspace: Workspace, emit: Emit) -> int:
            image = find_image(workspace, id)
            if isinstance(take, int):
                return pick(workspace, image, take, emit)
            return pick_result(workspace, image, take, emit)

        with self._busy(id, "picking"), self._session.others.at_work():
            return await self._carry_out(work)

    async def reroll(self, id: str, count: int, agreed: float | None) -> Done:
        """Pay for more takes and pick the first. What costs more than was `agreed` to is only quoted.

        Raises:
            BudgetError: it would pass the session's limit; nothing was sent.
        """
        if not 1 <= count <= MAX_COUNT:
            raise UsageError(f"so many new takes at once are possible: 1 to {MAX_COUNT}")
        if self._state.phase == "building" and id in self._state.jobs:
            raise UsageError(f"{id} is being generated already: what comes first would be picked")
        with self._busy(id, "generating"):
            cost, unit = await self._in_thread(partial(self._quote, id, count))
            if cost != 0 and not (agreed is not None and (cost or 0.0) <= agreed + 1e-9):
                return {"quote": {"cost": cost, "unit": unit, "count": count}}
            purse = self._session.purse
            if purse is None:
                raise UsageError("the session has not begun yet")
            purse.take(cost)
            paid = _Paid(cost)
            try:
                return await self._pay(id, count, cost, paid)
            finally:
                purse.give_back((cost or 0.0) - (paid.amount or 0.0))

    async def keep(self, id: str) -> Done:
        """Accept the outputs of an image as they lie there."""

        def work(workspace: Workspace, emit: Emit) -> int:
            return adopt_outputs(workspace, find_image(workspace, id), None, lambda adopted: None, emit)

        with self._busy(id, "adopting"), self._session.others.at_work():
            return await self._carry_out(work)

    async def adopt(self, id: str, file: Path, name: str, *, overwrite: bool) -> Done:
        """Make an uploaded file the source of an image."""

        def work(workspace: Workspace, emit: Emit) -> int:
            image = find_image(workspace, id)
            return adopt_file(
                workspace, image, file, lambda adopted: None, emit, overwrite=overwrite, name=name
            )

        with self._busy(id, "adopting"), self._session.others.at_work():
            return await self._carry_out(work)

    async def note(self, id: str, text: str) -> Done:
        """Note something on an image."""

        def work() -> None:
            with self._workspace() as workspace:
                write_note(self._invocation.root, find_image(workspace, id), text)

        await self._in_thread(work)
        self._view.want()
        return {"ok": True}

    async def open(self, id: str, path: str | None) -> Done:
        """Open an image's output, or the line of the manifest that declares it, where the user edits it."""

        def work() -> None:
            with self._workspace() as workspace:
                image = find_image(workspace, id)
            root = self._invocation.root
            if path is None:
                place = image.origin.place("prompt").position
                open_in_editor(self._invocation.environ, Path(place.file).resolve(), place.line)
            elif path in {image.output, *(file.path for file in image.derive)} and (root / path).is_file():
                open_in_editor(self._invocation.environ, root / path, None)
            else:
                raise UsageError("there is no such file")

        await self._in_thread(work)
        return {"ok": True}

    def stop(self) -> None:
        """The user wants to end: what is being paid for arrives. A second time: it is let go of."""
        self._stopping = True
        for one in self._paying:
            one.request()

    async def finish(self) -> None:
        """Wait for all that goes on."""
        await asyncio.to_thread(self._threads.shutdown)

    def _quote(self, id: str, count: int) -> tuple[float | None, str]:
        with self._workspace() as workspace:
            return price_of_reroll(workspace, [find_image(workspace, id)], count)

    async def _pay(self, id: str, count: int, cost: float | None, paid: _Paid) -> Done:
        interruption = Interruption()
        interruption.expect()

        def work(workspace: Workspace, emit: Emit) -> int:
            def hear(event: Event) -> None:
                paid.hear(event)
                emit(event)

            image = find_image(workspace, id)
            options = BuildOptions(yes=True, max_cost=cost)
            return reroll(workspace, [image], count, options, hear, None, interruption)

        self._paying.add(interruption)
        try:
            return await self._carry_out(work)
        finally:
            self._paying.discard(interruption)

    async def _carry_out(self, work: Work) -> Done:
        """Do what a command does, and say what came of it."""
        loop = asyncio.get_running_loop()
        failures: list[Json] = []

        def emit(event: Event) -> None:
            failure = failure_of(event) if isinstance(event, ImageEvent) else None
            if failure is not None:
                failures.append({**failure})
            loop.call_soon_threadsafe(self._audience.hear, event)

        def run() -> int:
            with self._workspace() as workspace:
                try:
                    return work(workspace, emit)
                except KeyboardInterrupt:
                    # It was told to end; the next build goes on with what is left behind.
                    raise UsageError("the session ends: the next build goes on with it") from None

        if self._invocation.placeholder:
            raise UsageError("with --placeholder there is nothing to choose: every image is a card")
        try:
            code = await self._in_thread(run)
        finally:
            self._view.want()
        return {"ok": code == 0, "failures": failures}

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._stopping:
            raise UsageError("the session ends")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @contextmanager
    def _workspace(self) -> Iterator[Workspace]:
        workspace = open_workspace(self._invocation)
        try:
            yield workspace
        finally:
            if workspace.shared is not None:
                workspace.shared.close()
            workspace.cache.close()

    @contextmanager
    def _busy(self, id: str, doing: str) -> Iterator[None]:
        if id in self._state.acting:
            raise UsageError(f"{id}: something else is being done for it")
        self._state.acting[id] = doing
        self._board.touch("session")
        try:
            yield
        finally:
            del self._state.acting[id]
            self._state.jobs.pop(id, None)
            self._board.touch("session")
