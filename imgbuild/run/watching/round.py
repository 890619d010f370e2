"""One round of a session: a plan, carried out as far as nobody changes anything meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from imgbuild.core.events import Emit, Event, ImageEvent, Status, SummaryEvent
from imgbuild.core.plan.action import Mode, Plan
from imgbuild.core.plan.chains import chain_lengths
from imgbuild.run.build import bring_collected, remember_dropped
from imgbuild.run.collected import Collected
from imgbuild.run.execute import Executor
from imgbuild.run.fetch import References
from imgbuild.run.interruption import Interruption
from imgbuild.run.lock_writer import LockWriter
from imgbuild.run.outputs import Outputs
from imgbuild.run.signing import Signer
from imgbuild.run.watching.office import Office
from imgbuild.run.workspace import Workspace

_SECOND_THOUGHTS = 0.3
"""Seconds for which a failure is kept back: if a save comes meanwhile, it was that of half a change."""


class Round:
    """Does what a plan says.

    `lock_digest`: the lock's, when it was made. `held`: how many images are not in it, since they have to
    wait. `whole`: with the images, also what is made of several.
    """

    def __init__(
        self,
        workspace: Workspace,
        plan: Plan,
        office: Office,
        signer: Signer,
        interruption: Interruption,
        emit: Emit,
        *,
        lock_digest: bytes,
        held: int,
        whole: bool,
        quiet: bool,
        on_end: Callable[[], None],
    ) -> None:
        self.workspace = workspace
        self.plan = plan
        self.busy = frozenset(action.id for action in plan.actions if not action.settled)
        """The images that something is done for."""
        self._office = office
        self._interruption = interruption
        self._events = _Events(emit, quiet=quiet)
        self._held = held
        self._whole = whole
        self._began = time.monotonic()
        self._superseded = False
        invocation, project = workspace.invocation, workspace.project
        self._planned_lock = lock_digest
        self._lock = LockWriter(workspace.lock_path, enabled=not invocation.placeholder)
        self._executor = Executor(
            workspace,
            office.generator,
            References(workspace.cache, office.connections, offline=False),
            Outputs(invocation.root, workspace.cache, signer=signer),
            self._lock,
            Mode(),
            interruption,
            self._events,
            chains=chain_lengths(project.images, project.order),
            fail_fast=False,
        )
        self._task = asyncio.create_task(self._carry_out())
        self._task.add_done_callback(lambda _: on_end())

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._task.done()

    async def supersede(self) -> SummaryEvent:
        """Stop at the next best moment, and return what was done until then. Raises as `end` does."""
        self._superseded = True
        self._events.drop()
        self._executor.supersede()
        return await self.end()

    async def end(self) -> SummaryEvent:
        """Wait for the end.

        Raises:
            ImgbuildError: the lock or the disk refuses.
        """
        summary = await self._task
        self._events.release()
        seconds = round(time.monotonic() - self._began, 3)
        return replace(summary, unchanged=summary.unchanged + self._held, seconds=seconds)

    @property
    def lock_digests(self) -> frozenset[bytes]:
        """What this has made of the lock so far."""
        return frozenset(made for _, made in self._lock.writes)

    def lock_left(self) -> bytes | None:
        """The lock's digest after the last write; None where somebody else has written in between."""
        left = self._planned_lock
        for found, made in self._lock.writes:
            if found != left:
                return None
            left = made
        return left

    async def aclose(self) -> None:
        """End it now."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def outputs(self) -> dict[str, str | None]:
        """What lies at the images' paths now: as it was accepted, or whatever is found there."""
        facts = self.workspace.facts()
        entries = self._executor.accepted.values()
        accepted = {path: output.digest for entry in entries for path, output in entry.outputs.items()}
        paths = {o.path for a in (*self.plan.actions, *self.plan.collected) for o in a.outputs}
        if self._whole:
            paths |= {path for path, _ in Collected(self.workspace, overwrite=False).present()}
        others = {path: facts.on_disk(path) for path in paths - accepted.keys() if "*" not in path}
        return {**accepted, **others}

    async def _carry_out(self) -> SummaryEvent:
        try:
            summary = await self._executor.run(self.plan, collect=False)
        finally:
            self._lock.flush()
        remember_dropped(self.workspace, self.plan, self._executor.accepted)
        if self._whole and not (self._superseded or self._interruption.requested):
            told: list[Event] = []
            accepted = self._executor.accepted
            summary = await asyncio.to_thread(
                bring_collected, self.workspace, self.plan, accepted, summary, told.append
            )
            for event in told:
                self._events(event)
        return summary


class _Events:
    """What a round tells. `quiet`: of images that stay as they are, nothing."""

    def __init__(self, emit: Emit, *, quiet: bool) -> None:
        self._emit = emit
        self._quiet = quiet
        self._kept: list[tuple[Event, asyncio.TimerHandle]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, ImageEvent) and event.status is Status.UNCHANGED and self._quiet:
            return
        if isinstance(event, ImageEvent) and event.status in (Status.FAILED, Status.CONFLICT):
            timer = asyncio.get_running_loop().call_later(_SECOND_THOUGHTS, self._release_first)
            self._kept.append((event, timer))
        else:
            self._emit(event)

    def release(self) -> None:
        """Tell what was kept back."""
        while self._kept:
            self._release_first()

    def drop(self) -> None:
        """Forget what was kept back: it is going to be found out anew."""
        for _, timer in self._kept:
            timer.cancel()
        self._kept.clear()

    def _release_first(self) -> None:
        event, timer = self._kept.pop(0)
        timer.cancel()
        self._emit(event)
