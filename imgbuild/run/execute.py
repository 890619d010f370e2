"""Executing a plan: each image when what it refers to is there, failures kept to their own image."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial

from imgbuild.core.errors import BadImageError, BudgetError, ImgbuildError, ProviderFailure, StorageError
from imgbuild.core.events import (
    ActionKind,
    Emit,
    Failure,
    ImageEvent,
    JobEvent,
    JobState,
    Status,
    SummaryEvent,
)
from imgbuild.core.image import Image, ImageReference, UrlReference
from imgbuild.core.lock import LockedImage, LockedSource
from imgbuild.core.plan.action import Action, Facts, Mode, OutputPlan, Plan
from imgbuild.core.plan.planner import plan_image
from imgbuild.core.plan.ready import ReadyQueue
from imgbuild.core.results import StoredResult
from imgbuild.run.fetch import References
from imgbuild.run.generate import Generator
from imgbuild.run.interruption import Interruption, Stopped
from imgbuild.run.lock_writer import LockWriter
from imgbuild.run.outputs import WRITERS, Outputs, RetouchedError, Written, groups
from imgbuild.run.threads import OwnThreads
from imgbuild.run.workspace import Workspace
from imgbuild.store.blobs import CorruptBlob, MissingBlob

_STATUS: Mapping[ActionKind, Status] = {
    ActionKind.NONE: Status.UNCHANGED,
    ActionKind.RESTORE: Status.RESTORED,
    ActionKind.DERIVE: Status.DERIVED,
    ActionKind.GENERATE: Status.GENERATED,
    ActionKind.CONFLICT: Status.CONFLICT,
}
_BEHIND = 256
"""Images that have arrived and are not written yet, with which no other is begun. As many as there are places
for generations keep those that derive busy until more arrive: beyond that only memory would be filled."""


class Executor:
    """Runs the actions of one plan."""

    def __init__(
        self,
        workspace: Workspace,
        generator: Generator,
        references: References,
        outputs: Outputs,
        lock: LockWriter,
        mode: Mode,
        interruption: Interruption,
        emit: Emit,
        *,
        chains: Mapping[str, int],
        fail_fast: bool,
    ) -> None:
        self._workspace = workspace
        self._generator = generator
        self._references = references
        self._outputs = outputs
        self._lock = lock
        self._mode = mode
        self._interruption = interruption
        self._emit = emit
        self._fail_fast = fail_fast
        self._failed = False
        self._counts: Counter[Status] = Counter()
        self._masters: dict[str, str | None] = {}
        self._picked: dict[str, StoredResult | None] = {}
        self._queue = ReadyQueue((), chains)
        self._changed = asyncio.Event()
        """Something has happened in the queue, or to it."""
        self._pixels = OwnThreads("derive", outputs.workplace.places)
        self._derivations = asyncio.Semaphore(self._pixels.count)
        self._writers = OwnThreads("write", WRITERS)
        self._writings = asyncio.Semaphore(WRITERS)
        self._chains = chains
        self._ours = workspace.lock.output_digests()
        self.accepted: dict[str, LockedImage] = {}
        """The entries of images that are as they should be now, by id."""
        self._obtained: set[str] = set()
        """What has arrived, and is not written yet: what is paid for is brought to its end."""
        self._superseded = False
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self, plan: Plan, *, collect: bool) -> SummaryEvent:
        """Carry the plan out; returns how many images ended how.

        `collect`: also fetch what earlier builds paid for and no image needs any more.
        """
        busy: list[Action] = []
        for action in plan.actions:
            if action.kind is ActionKind.REMOVE:
                self._lock.drop(action.id)
                continue
            self._masters[action.id] = action.source.digest if action.source else None
            self._picked[action.id] = action.picked
            if action.settled:
                if action.entry is not None:
                    self.accepted[action.id] = action.entry
                self._tell(action, Status.UNCHANGED, _paths(action))
            else:
                busy.append(action)
        self._queue = ReadyQueue(busy, self._chains)
        async with asyncio.TaskGroup() as images:
            if collect:
                needed = {action.keys.current for action in busy if action.keys}
                images.create_task(self._collect(needed))
            while self._queue.left and not self._superseded:
                if len(self._obtained) < _BEHIND:
                    for action in self._queue.begin():
                        images.create_task(self._image(action))
                await self._changed.wait()
                self._changed.clear()
        return SummaryEvent(
            generated=self._counts[Status.GENERATED],
            derived=self._counts[Status.DERIVED],
            restored=self._counts[Status.RESTORED],
            unchanged=self._counts[Status.UNCHANGED],
            conflicts=self._counts[Status.CONFLICT],
            failed=self._counts[Status.FAILED],
        )

    def supersede(self) -> None:
        """Give up whatever waits: for another image, for a service, for its turn to be written.

        A file that is being written gets written, and what is being paid for is no business of this object.
        """
        self._superseded = True
        self._changed.set()
        for task in self._waiting:
            task.cancel()

    @contextmanager
    def _can_be_given_up(self) -> Iterator[None]:
        if self._superseded:
            raise Stopped
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)

    def _settle(self, id: str) -> None:
        self._queue.settle(id)
        self._changed.set()

    def _leave(self, id: str) -> None:
        self._queue.leave(id)
        self._changed.set()

    async def _image(self, action: Action) -> None:
        try:
            status, paths = await self._carry_out(action)
            self._tell(action, status, paths)
        except Stopped:
            # The next build does it; there is nothing to tell.
            pass
        except asyncio.CancelledError:
            if not self._superseded:
                raise
        except ImgbuildError as error:
            self._failed = True
            kind = error.kind.value if isinstance(error, ProviderFailure) else _kind(error)
            status = Status.CONFLICT if isinstance(error, RetouchedError) else Status.FAILED
            self._tell(action, status, _paths(action), Failure(kind, _words(error)))
        self._obtained.discard(action.id)
        self._leave(action.id)
        self._settle(action.id)

    async def _collect(self, needed: Collection[str]) -> None:
        with suppress(Stopped):
            await self._generator.collect(needed)

    async def _carry_out(self, action: Action) -> tuple[Status, tuple[str, ...]]:
        if action.kind is ActionKind.CONFLICT:
            return Status.CONFLICT, _paths(action)
        self._interruption.check()
        with self._can_be_given_up():
            if action.pending:
                action = await self._with_references(action)
            if action.lost:
                await self._generator.fetch_again(action)
                action = await self._again(action)
        if action.blocked:
            raise StorageError(f"{action.id}: {action.blocked}")
        generated = action.kind is ActionKind.GENERATE
        failure: ImgbuildError | None = None
        if action.missing:
            if self._fail_fast and self._failed:
                raise ImgbuildError("not started: another image failed, and --fail-fast was given")
            try:
                with self._can_be_given_up():
                    await self._mend_references(action)
                    await self._generator.obtain(action, partial(self._leave, action.id))
                self._obtained.add(action.id)
            except ImgbuildError as error:
                failure = error
            action = await self._again(action)
        if action.kind is ActionKind.CONFLICT:
            return Status.CONFLICT, _paths(action)
        if action.source is None:
            raise failure or ImgbuildError(f"{action.shares or action.id} gave no result")
        self._masters[action.id] = action.source.digest
        # Its own files may come later: who refers to it needs no more than this.
        self._settle(action.id)
        did, paths = await self._write_or_mend(action, action.source)
        if failure is not None:
            raise failure
        return Status.GENERATED if generated else _STATUS[did], paths

    async def _write_or_mend(
        self, action: Action, source: LockedSource
    ) -> tuple[ActionKind, tuple[str, ...]]:
        """Write the outputs; what turns out to be damaged is had again where that costs nothing."""
        try:
            return await self._write(action, source)
        except (CorruptBlob, MissingBlob):
            again = await self._again(action)
            if again.lost:
                await self._generator.fetch_again(again)
                again = await self._again(again)
            if again.blocked:
                raise StorageError(f"{again.id}: {again.blocked}") from None
            if again.missing or again.source is None:
                raise
            return await self._write(again, again.source)

    async def _with_references(self, action: Action) -> Action:
        """Have what an image refers to, then plan it again with the bytes. Other images came before."""
        for reference in action.pending:
            if isinstance(reference, ImageReference):
                if self._masters.get(reference.id) is None:
                    raise ImgbuildError(f"its reference {reference} could not be had")
            elif isinstance(reference, UrlReference):
                provider = action.resolved.image.provider if action.resolved else ""
                await self._interruption.unless(self._references.pin(reference.url, provider))
        return await self._again(action)

    async def _mend_references(self, action: Action) -> None:
        """An image that is referred to may have its files still, and its master no longer."""
        for reference in action.image.references if action.image else ():
            if not isinstance(reference, ImageReference):
                continue
            master, picked = self._masters.get(reference.id), self._picked.get(reference.id)
            if master is None:
                continue
            try:
                await asyncio.to_thread(self._workspace.cache.blobs.verified, master)
            except (CorruptBlob, MissingBlob):
                if picked is None or picked.digest != master or not picked.task:
                    raise StorageError(
                        f"the cache has lost the result of {reference.id}, which {action.id} refers to",
                        remedy=f"imgbuild reroll '{reference.id}' pays for another one",
                    ) from None
                await self._generator.fetch_again(replace(action, lost=(picked,)))

    async def _again(self, action: Action) -> Action:
        resolved, workspace = action.resolved, self._workspace
        if resolved is None:
            raise TypeError(f"{action.id} is not an image")

        def make(facts: Facts) -> Action:
            return plan_image(resolved, action.previous, facts, self._masters, self._ours, self._mode)

        if workspace.shared is None:
            return make(workspace.facts())
        root, observed, lock = workspace.invocation.root, workspace.observed, workspace.lock
        planning = partial(workspace.shared.plan_image, make, root, observed, lock, self._mode)
        return await asyncio.to_thread(planning)

    async def _write(self, action: Action, source: LockedSource) -> tuple[ActionKind, tuple[str, ...]]:
        """Bring the output files about; returns what that took, and their paths."""
        parts = await asyncio.gather(
            *(self._bring(action, group, source) for group in groups(action.outputs)),
            return_exceptions=True,
        )
        for part in parts:
            if isinstance(part, BaseException):
                raise part
        written = [one for part in parts if not isinstance(part, BaseException) for one in part]
        entry = action.accept({one.path: one.locked for one in written})
        if entry is not None:
            self.accepted[action.id] = entry
        if entry is not None and entry != action.previous:
            self._lock.accept(action.id, entry)
        kinds = {one.kind for one in written}
        ranked = (ActionKind.DERIVE, ActionKind.RESTORE, ActionKind.NONE)
        own = action.image.output if action.image else ""
        paths = sorted((one.path for one in written), key=lambda path: (path != own, path))
        return next(kind for kind in ranked if kind in kinds), tuple(paths)

    async def _bring(self, action: Action, outputs: list[OutputPlan], source: LockedSource) -> list[Written]:
        with self._can_be_given_up():
            if self._workspace.shared is not None:
                await self._workspace.shared.fetch(_needed(outputs, source))
        if outputs[0].kind is not ActionKind.DERIVE:
            # Such an output is a group by itself.
            async with self._turn(action, self._writings):
                restored = await self._writers.run(self._outputs.restore, outputs[0], source)
            if restored is not None:
                return [restored]
        async with self._turn(action, self._derivations):
            if outputs[0].kind is ActionKind.DERIVE and action.resolved is not None:
                self._emit(JobEvent(action.id, JobState.DERIVING, action.resolved.image.provider))
            try:
                return await self._pixels.run(self._outputs.bring, outputs, source)
            except BadImageError as error:
                raise _placed(error, action.image, outputs[0]) from error

    @asynccontextmanager
    async def _turn(self, action: Action, places: asyncio.Semaphore) -> AsyncIterator[None]:
        """A place among those who write or derive. Who still waits when the user wants to end gets none."""
        with self._can_be_given_up():
            await places.acquire()
        self._leave(action.id)
        try:
            if action.id not in self._obtained:
                self._interruption.check()
            yield
        finally:
            places.release()

    def _tell(
        self, action: Action, status: Status, paths: tuple[str, ...], failure: Failure | None = None
    ) -> None:
        self._counts[status] += 1
        cost = action.cost if status is Status.GENERATED else None
        self._emit(ImageEvent(action.id, status, paths, failure, cost))


def _needed(outputs: Sequence[OutputPlan], source: LockedSource) -> list[str]:
    """The blobs that outputs are written from."""
    targets = [one.target.digest for one in outputs if one.kind is ActionKind.RESTORE and one.target]
    derived = any(one.kind is ActionKind.DERIVE for one in outputs)
    return [*targets, source.digest] if derived else targets


def _paths(action: Action) -> tuple[str, ...]:
    return tuple(output.path for output in action.outputs)


def _placed(error: BadImageError, image: Image | None, output: OutputPlan) -> BadImageError:
    """The error with the file that it is about, and where that was declared."""
    if image is None or output.file is None:
        return error
    entry = output.file.entry
    place = image.origin.place("output") if entry is None else image.origin.entry_place("derive", entry)
    return BadImageError(f"{place.position}: {output.path}: {error.message}", remedy=error.remedy)


def _kind(error: ImgbuildError) -> str:
    if isinstance(error, BudgetError):
        return "budget"
    return "storage" if isinstance(error, StorageError) else "failed"


def _words(error: ImgbuildError) -> str:
    return f"{error.message} ({error.remedy})" if error.remedy else error.message
