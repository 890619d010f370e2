"""One paid job from its request to its results in the cache, written down before and after every step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from imgbuild.core import jobs
from imgbuild.core.errors import BadImageError, FailureKind, ProviderFailure, StorageError
from imgbuild.core.events import Emit, JobEvent, JobState, WarningEvent
from imgbuild.core.image import Json
from imgbuild.core.jobs import NOTHING_CHARGED, End, OpenJob, Stage
from imgbuild.core.results import StoredResult
from imgbuild.images.decode import inspect
from imgbuild.providers.base import FileResult, Finished, Pending, Request, Result
from imgbuild.run.connections import Connection
from imgbuild.run.interruption import Interruption
from imgbuild.run.job import Job, make_entry, make_request, make_result, now, past_entry
from imgbuild.run.open_jobs import give_up
from imgbuild.run.patience import patiently
from imgbuild.run.purse import Purse
from imgbuild.run.trust import origin_of
from imgbuild.store.blobs import Blob
from imgbuild.store.cache import Cache
from imgbuild.store.encoding import to_json

T = TypeVar("T")

_CLOSES_PROVIDER = frozenset({FailureKind.AUTH, FailureKind.CREDIT})
_POLLS = 1_000_000
"""A paid task is asked for until its deadline, however often the service breaks down meanwhile."""


class Worker:
    """Carries jobs out. What it does with money, it writes into the journal first."""

    def __init__(
        self, root: Path, cache: Cache, purse: Purse, interruption: Interruption, emit: Emit
    ) -> None:
        self._root = root
        self._cache = cache
        self._purse = purse
        self._interruption = interruption
        self._emit = emit
        self.submitted = 0
        """Requests that went over the network."""
        self.resumed = 0
        """Tasks of earlier builds that were gone on with."""
        self.paying: dict[str, tuple[str, float]] = {}
        """By job: the image, and the time of the event loop by which its answer must be there. It is being
        paid for and has no name yet: stopped now, nobody knows whether it is charged."""
        self.recorded: dict[str, str] = {}
        """By job: the image. Its task is recorded: the next build goes on with it."""

    async def generate(self, job: Job, connection: Connection) -> None:
        """Submit a request and bring its results into the cache.

        Raises:
            ProviderFailure: what went wrong, after it was written down.
            Stopped: the user wants to end. What was accepted is written down.
        """
        entry, answer = await self._submit(job, connection)
        await self._see_through(entry, connection, answer)

    async def resume(self, entry: OpenJob, connection: Connection) -> None:
        """Go on with a task that an earlier build submitted. Raises as `generate` does."""
        self.resumed += 1
        await self._see_through(entry, connection, Pending(str(entry.task_id), "submitted before"))

    async def fetch_again(self, result: StoredResult, connection: Connection) -> None:
        """Ask the service once more for bytes that the cache has lost. Never costs anything.

        Raises:
            ProviderFailure: the service does not answer, or no longer has them; the record says so then.
            Stopped: the user wants to end.
        """
        entry = past_entry(result)
        self.resumed += 1
        try:
            if await self._interruption.unless(self._find_again(entry, connection, result)):
                return
            words = "the service gives other bytes than it did"
        except ProviderFailure as failure:
            if jobs.after_acceptance(entry, failure.kind) in (Stage.SUBMITTED, Stage.EXPIRED):
                raise
            words = f"the service no longer has it: {failure.message}"
        await asyncio.to_thread(self._cache.forget_task, result)
        raise ProviderFailure(
            FailureKind.UNUSABLE,
            f"its result is lost from the cache, and {words}",
            remedy="imgbuild plan tells what another one costs",
        )

    async def _find_again(self, entry: OpenJob, connection: Connection, result: StoredResult) -> bool:
        """Whether the service gave the same bytes; they are in the cache then."""
        for attempt in (1, 2):
            try:
                finished = await self._wait(entry, connection, Pending(str(result.task), "stored before"))
                for found in finished.results:
                    path = await self._fetched(entry, connection, result.take, found)
                    blob = await asyncio.to_thread(self._cache.blobs.add_file, path)
                    if blob.digest == result.digest:
                        return True
            except ProviderFailure as failure:
                if failure.kind is not FailureKind.UNUSABLE or attempt > 1:
                    raise
        return False

    async def _submit(self, job: Job, connection: Connection) -> tuple[OpenJob, Pending | Finished]:
        """Send the request, again and again while nothing can have been charged."""
        request = await asyncio.to_thread(make_request, job, self._root, self._cache)
        draft = make_entry(job, _origin(job, connection), self._root)

        async def send() -> tuple[OpenJob, Pending | Finished]:
            await self._interruption.unless(connection.limiter.pace())
            if connection.stopped:
                raise connection.stopped
            entry = replace(draft, since=now())
            self._purse.take(job.cost)
            try:
                await self._write(entry, jobs.intent(entry))
            except StorageError:
                self._purse.give_back(job.cost)
                raise
            self._say(entry, connection, JobState.SUBMITTING)
            self.submitted += job.resolved.sends
            try:
                answer = await self._send(entry, connection, request)
            except ProviderFailure as failure:
                self.paying.pop(entry.id, None)
                if failure.kind in NOTHING_CHARGED:
                    self._purse.give_back(job.cost)
                if failure.kind in _CLOSES_PROVIDER:
                    connection.stopped = failure
                await self._note(entry, failure, jobs.after_submission(failure.kind))
                raise
            if answer.task_id is not None:
                entry = await self._accepted(entry, answer.task_id)
            return entry, answer

        return await self._patiently(draft, connection, send, aside=connection.limiter.aside)

    async def _send(self, entry: OpenJob, connection: Connection, request: Request) -> Pending | Finished:
        """The moment at which money may be spent: not to be left while the answer is on its way."""
        sending = connection.provider.submit(request)
        if not entry.origin:
            return await self._interruption.unless(sending)
        end = asyncio.get_running_loop().time() + connection.settings.timeout
        self.paying[entry.id] = (entry.image_id, end)
        return await sending

    async def _accepted(self, entry: OpenJob, task_id: str) -> OpenJob:
        """The service has given it a name: from now on it can be asked for."""
        try:
            await self._write(entry, jobs.submitted(entry.id, task_id))
        except StorageError as error:
            # It is paid for, and known as long as this build lives.
            words = f"{error.message}, so a later build cannot go on with task {task_id} of {entry.provider}"
            self._emit(WarningEvent(words, entry.image_id))
        else:
            self.paying.pop(entry.id)
        return replace(entry, stage=Stage.SUBMITTED, task_id=task_id)

    async def _see_through(self, entry: OpenJob, connection: Connection, answer: Pending | Finished) -> None:
        """Wait for a task's end and keep its results; whatever comes of it is written down."""
        if entry.origin and entry.id not in self.paying:
            self.recorded[entry.id] = entry.image_id
        try:
            finishing = self._finish(entry, connection, answer)
            if entry.id in self.paying:
                await finishing
            else:
                await self._interruption.unless(finishing)
        except ProviderFailure as failure:
            await self._note(entry, failure, jobs.after_acceptance(entry, failure.kind))
            self._let_go(entry)
            raise
        await self._write(entry, jobs.closed(entry.id, End.STORED))
        self._let_go(entry)

    def _let_go(self, entry: OpenJob) -> None:
        self.paying.pop(entry.id, None)
        self.recorded.pop(entry.id, None)

    async def _finish(self, entry: OpenJob, connection: Connection, answer: Pending | Finished) -> None:
        await self._keep_all(entry, connection, await self._wait(entry, connection, answer))

    async def _wait(self, entry: OpenJob, connection: Connection, answer: Pending | Finished) -> Finished:
        """Poll a task until it ends. Unknown status words mean that it is still running."""
        settings = connection.settings
        loop = asyncio.get_running_loop()
        end = loop.time() + settings.deadline
        warned: set[str] = set()
        current, task = answer, answer.task_id
        while isinstance(current, Pending):
            self._say(entry, connection, JobState.RUNNING, current.status, current.progress)
            if current.warning and current.warning not in warned:
                warned.add(current.warning)
                self._emit(WarningEvent(current.warning, entry.image_id))
            if loop.time() >= end:
                raise ProviderFailure(
                    FailureKind.EXPIRED,
                    f"task {task} did not end within {settings.deadline:g} s; last status: {current.status}",
                    remedy="raise the provider's deadline",
                )
            await asyncio.sleep(min(settings.poll_interval, max(0.0, end - loop.time())))
            poll = partial(connection.provider.poll, current.task_id)
            current = await self._patiently(entry, connection, poll, _POLLS)
        return current if current.task_id else replace(current, task_id=task)

    async def _keep_all(self, entry: OpenJob, connection: Connection, finished: Finished) -> None:
        """Bring every result into the cache. A task whose result is unusable is asked once more."""
        first: ProviderFailure | None = None
        results = finished.results
        for index, take in enumerate(entry.takes):
            try:
                if index >= len(results):
                    raise ProviderFailure(
                        FailureKind.UNUSABLE,
                        f"{len(entry.takes)} results were asked for, {len(results)} came",
                    )
                try:
                    await self._keep(entry, connection, take, results[index], finished)
                except ProviderFailure as failure:
                    if failure.kind is not FailureKind.UNUSABLE or finished.task_id is None:
                        raise
                    poll = partial(connection.provider.poll, finished.task_id)
                    again = await self._patiently(entry, connection, poll, _POLLS)
                    if not isinstance(again, Finished) or index >= len(again.results):
                        raise
                    results = again.results
                    await self._keep(entry, connection, take, results[index], finished)
            except ProviderFailure as failure:
                first = first or failure
        if first is not None:
            raise first

    async def _keep(
        self, entry: OpenJob, connection: Connection, take: int, result: Result, finished: Finished
    ) -> None:
        path = await self._fetched(entry, connection, take, result)
        try:
            facts = await asyncio.to_thread(inspect, path)
        except BadImageError as error:
            words = f"the result is not usable: {error.message}"
            raise await asyncio.to_thread(self._unusable, entry, path, words) from None

        def make(blob: Blob) -> StoredResult:
            return make_result(entry, take, facts, blob, finished)

        def arrived(stored: StoredResult) -> None:
            # Without this line nothing is lost but the way to find it after a kill just now; a disk that
            # cannot take it must not keep the record from being tried.
            try:
                self._append(entry, jobs.ready(entry.id, take, to_json(stored)))
            except StorageError as error:
                self._emit(WarningEvent(error.message, entry.image_id))

        await asyncio.to_thread(self._cache.keep_result, path, make, arrived)

    async def _fetched(self, entry: OpenJob, connection: Connection, take: int, result: Result) -> Path:
        if isinstance(result, FileResult):
            return result.path
        path = self._cache.blobs.scratch()
        self._say(entry, connection, JobState.DOWNLOADING, take=take)
        try:
            await self._patiently(entry, connection, lambda: connection.provider.download(result.url, path))
        except ProviderFailure as failure:
            if failure.kind is not FailureKind.UNUSABLE:
                raise
            raise await asyncio.to_thread(self._unusable, entry, path, failure.message) from None
        return path

    def _unusable(self, entry: OpenJob, path: Path, words: str) -> ProviderFailure:
        """What is wrong with a result; its bytes, if there are any, were paid for and are kept."""
        if not path.exists() or not path.stat().st_size:
            path.unlink(missing_ok=True)
            return ProviderFailure(FailureKind.UNUSABLE, words)
        kept = self._cache.blobs.quarantine(path, f"{entry.image_id}: {words}")
        return ProviderFailure(FailureKind.UNUSABLE, words, remedy=f"kept as {kept}")

    async def _patiently(
        self,
        entry: OpenJob,
        connection: Connection,
        operation: Callable[[], Awaitable[T]],
        attempts: int | None = None,
        aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> T:
        return await patiently(
            operation,
            connection,
            self._interruption if entry.id not in self.paying else None,
            lambda failure, seconds: self._say(
                entry, connection, JobState.RETRYING, f"{failure.message}; again in {seconds:.1f} s"
            ),
            attempts,
            aside,
        )

    async def _note(self, entry: OpenJob, failure: ProviderFailure, left: Stage | End) -> None:
        """Write down where a failure leaves a job."""
        match left:
            case Stage.UNKNOWN:
                await self._write(entry, jobs.unknown(entry.id, failure.message))
            case Stage.EXPIRED:
                await self._write(entry, jobs.expired(entry.id))
            case End.FAILED if failure.kind in NOTHING_CHARGED:
                await self._write(entry, jobs.closed(entry.id, End.FAILED))
            case End.FAILED if entry.origin:
                await asyncio.to_thread(give_up, self._cache, entry, End.FAILED, failure.kind.value)

    async def _write(self, entry: OpenJob, event: Mapping[str, Json]) -> None:
        await asyncio.to_thread(self._append, entry, event)

    def _append(self, entry: OpenJob, event: Mapping[str, Json]) -> None:
        """Into the journal, for what goes over a network; a local engine's work is free to do again."""
        if entry.origin:
            self._cache.journal.append(entry.key, event)

    def _say(
        self,
        entry: OpenJob,
        connection: Connection,
        state: JobState,
        detail: str | None = None,
        progress: float | None = None,
        take: int | None = None,
    ) -> None:
        name = connection.settings.name
        self._emit(JobEvent(entry.image_id, state, name, take or entry.takes[0], detail, progress))


def _origin(job: Job, connection: Connection) -> str:
    """Where a job is sent. A program with a price has no address; work that is free needs none."""
    if not job.resolved.sends:
        return ""
    url = connection.settings.base_url
    return origin_of(url) if url else "this machine"
