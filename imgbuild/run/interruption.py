"""The user's wish to end: the first one lets what is being paid for arrive, the second one lets go of it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from imgbuild.core.errors import ImgbuildError

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Stopped(ImgbuildError):
    """Something was not done, or not waited for, because the user wants to end."""

    def __init__(self) -> None:
        super().__init__("the build was interrupted", remedy="build again: what is in flight is gone on with")


class Broken(KeyboardInterrupt):
    """What a request breaks into whatever runs with.

    Not its base itself: once that has left code that `exec` was given as a text (which is how dataclasses are
    made), Python ends the process by SIGINT in the end, whatever becomes of the exception (CPython's
    `run_eval_code_obj`).
    """


class Interruption:
    """Whether the user has asked to end. A signal handler tells; a running build attaches its event loop."""

    def __init__(self) -> None:
        self._requested = False
        self._branches: WeakSet[Branch] = WeakSet()
        self._expected = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._event: asyncio.Event | None = None

    @property
    def requested(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._requested

    def branch(self) -> Branch:
        """The same wish for one part of the work, which can also be ended alone."""
        branch = Branch(self)
        self._branches.add(branch)
        return branch

    def request(self) -> None:
        """To be called from a signal handler of the main thread.

        Raises:
            KeyboardInterrupt: no build is running that could end in its own way. Only the first request
                raises it: what that leads to must not be broken into.
        """
        first, self._requested = not self._requested, True
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._tell if first else self._task.cancel)
        elif first and not self._expected:
            raise Broken

    @property
    def expected(self) -> bool:
        """Whether a request breaks into nothing."""
        return self._expected

    def expect(self) -> None:
        """From now on a request breaks into nothing: a build begins, or all is over.

        An event loop that is being made, and what is cleaned up at the end, could not take it.

        Raises:
            KeyboardInterrupt: what an earlier request raised was lost, in a finalizer or in a library.
        """
        lost, self._expected = self._requested and not self._expected, True
        if lost:
            raise Broken

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Let requests come to the current task instead of breaking into whatever runs."""
        import asyncio

        self._event = asyncio.Event()
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        if self.requested:
            self._event.set()
        try:
            yield
        finally:
            self._loop = None

    def _tell(self) -> None:
        if self._event is not None:
            self._event.set()
        for branch in self._branches:
            branch.end()

    def check(self) -> None:
        """Begin nothing new. Raises Stopped."""
        if self.requested:
            raise Stopped

    async def wait(self) -> None:
        """Return when the user asks to end; without an attached loop, never."""
        import asyncio

        await (self._event or asyncio.Event()).wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless the user asks to end. Raises Stopped."""
        import asyncio

        try:
            await asyncio.wait_for(self.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

    async def unless(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; cancelled when the user asks to end. Raises Stopped."""
        import asyncio

        if self.requested:
            work.close()
            raise Stopped
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait((task, asked), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Stopped
        finally:
            asked.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class Branch(Interruption):
    """A part that ends with the whole, or before it. Made on the event loop, by `Interruption.branch`."""

    def __init__(self, whole: Interruption) -> None:
        import asyncio

        super().__init__()
        self._whole = whole
        self._event = asyncio.Event()
        if whole.requested:
            self.end()

    @property
    def requested(self) -> bool:
        """Whether nothing new is to be begun in this part."""
        return self._requested or self._whole.requested

    def end(self) -> None:
        """Begin nothing more in this part, and wait no more where waiting can be left."""
        self._requested = True
        if self._event is not None:
            self._event.set()
