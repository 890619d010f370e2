"""One paid job from its request to its results in the cache, written down before and after every step."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

from imgbuild.core import jobs
from imgbuild.core.errors import FailureKind, ProviderFailure, StorageError
from imgbuild.core.events import Emit, JobState
from imgbuild.core.jobs import NOTHING_CHARGED, End, OpenJob, Stage
from imgbuild.core.results import StoredResult
from imgbuild.providers.base import Finished, Pending, Request
from imgbuild.run.arrivals import Arrivals, Leave
from imgbuild.run.connections import Connection
from imgbuild.run.interruption import Interruption
from imgbuild.run.job import Job, make_entry, make_request, now, past_entry
from imgbuild.run.job_log import JobLog
from imgbuild.run.patience import POLLS, Patience
from imgbuild.run.polls import see_end
from imgbuild.run.purse import Purse
from imgbuild.run.threads import OwnThreads
from imgbuild.run.trust import origin_of
from imgbuild.store.cache import Cache

_CLOSES_PROVIDER = frozenset({FailureKind.AUTH, FailureKind.CREDIT})
_SAY_INTERVAL = 1.0
"""Seconds between two words about a task whose status has not changed, only its progress."""


class Worker:
    """Carries jobs out. What it does with money, it writes into the journal first."""

    def __init__(
        self, root: Path, cache: Cache, purse: Purse, interruption: Interruption, emit: Emit
    ) -> None:
        self._root = root
        self._cache = cache
        self._purse = purse
        self._interruption = interruption
        # Apart from what derives files: what is paid for does not stand in line behind that.
        self._looks = OwnThreads("look")
        self._log = JobLog(cache, emit)
        self._arrivals = Arrivals(cache, self._log, self._looks)
        self.submitted = 0
        """Requests that went over the network."""
        self.resumed = 0
        """Tasks of earlier builds that were gone on with."""
        self.paying: dict[str, tuple[str, float]] = {}
        """By job: the image, and the time of the event loop by which its answer must be there. It is being
        paid for and has no name yet: stopped now, nobody knows whether it is charged."""
        self.recorded: dict[str, str] = {}
        """By job: the image. Its task is recorded: the next build goes on with it."""

    async def generate(self, job: Job, connection: Connection, leave: Leave, wish: Interruption) -> None:
        """Submit a request and bring its results into the cache. `leave` is called once they have arrived.

        `wish`: how the job is taken back as long as nothing of it was sent. What was sent is seen through.

        Raises:
            ProviderFailure: what went wrong, after it was written down.
            Stopped: the job was taken back, or the user wants to end. What was accepted is written down.
        """
        entry, answer = await self._submit(job, connection, wish)
        await self._see_through(entry, connection, answer, leave, asyncio.get_running_loop().time())

    async def resume(self, entry: OpenJob, connection: Connection, leave: Leave) -> None:
        """Go on with a task that an earlier build submitted. Raises as `generate` does."""
        self.resumed += 1
        answer = Pending(str(entry.task_id), "submitted before")
        await self._see_through(entry, connection, answer, leave)

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
                patience = self._patience(entry, connection)
                for found in finished.results:
                    path = await self._arrivals.fetch(
                        entry, connection.provider, result.take, found, patience
                    )
                    blob = await asyncio.to_thread(self._cache.blobs.add_file, path)
                    if blob.digest == result.digest:
                        return True
            except ProviderFailure as failure:
                if failure.kind is not FailureKind.UNUSABLE or attempt > 1:
                    raise
        return False

    async def _submit(
        self, job: Job, connection: Connection, wish: Interruption
    ) -> tuple[OpenJob, Pending | Finished]:
        """Send the request, again and again while nothing can have been charged."""
        if job.spec.references or job.spec.mask:
            request = await self._looks.run(make_request, job, self._root, self._cache)
        else:
            request = make_request(job, self._root, self._cache)
        draft = make_entry(job, _origin(job, connection), self._root)

        async def send() -> tuple[OpenJob, Pending | Finished]:
            await wish.unless(connection.limiter.pace())
            wish.check()
            if connection.stopped:
                raise connection.stopped
            entry = replace(draft, since=now())
            self._purse.take(job.cost)
            try:
                await self._log.write(entry, jobs.intent(entry))
            except StorageError:
                self._purse.give_back(job.cost)
                raise
            self._log.say(entry, connection.settings.name, JobState.SUBMITTING)
            self.submitted += job.resolved.sends
            try:
                answer = await self._send(entry, connection, request)
            except ProviderFailure as failure:
                self.paying.pop(entry.id, None)
                if failure.kind in NOTHING_CHARGED:
                    self._purse.give_back(job.cost)
                if failure.kind in _CLOSES_PROVIDER:
                    connection.stopped = failure
                await self._log.note(entry, failure, jobs.after_submission(failure.kind))
                raise
            if answer.task_id is not None:
                entry = await self._accepted(entry, answer.task_id)
            return entry, answer

        return await self._patience(draft, connection, wish).try_(send, aside=connection.limiter.aside)

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
            await self._log.write(entry, jobs.submitted(entry.id, task_id))
        except StorageError as error:
            # It is paid for, and known as long as this build lives.
            words = f"{error.message}, so a later build cannot go on with task {task_id} of {entry.provider}"
            self._log.warn(entry, words)
        else:
            self.paying.pop(entry.id)
        return replace(entry, stage=Stage.SUBMITTED, task_id=task_id)

    async def _see_through(
        self,
        entry: OpenJob,
        connection: Connection,
        answer: Pending | Finished,
        leave: Leave,
        submitted: float | None = None,
    ) -> None:
        """Wait for a task's end and keep its results; whatever comes of it is written down."""
        if entry.origin and entry.id not in self.paying:
            self.recorded[entry.id] = entry.image_id
        try:
            finishing = self._finish(entry, connection, answer, leave, submitted)
            if entry.id in self.paying:
                await finishing
            else:
                await self._interruption.unless(finishing)
        except ProviderFailure as failure:
            await self._log.note(entry, failure, jobs.after_acceptance(entry, failure.kind))
            self._let_go(entry)
            raise
        await self._log.write(entry, jobs.closed(entry.id, End.STORED))
        self._let_go(entry)

    def _let_go(self, entry: OpenJob) -> None:
        self.paying.pop(entry.id, None)
        self.recorded.pop(entry.id, None)

    async def _finish(
        self,
        entry: OpenJob,
        connection: Connection,
        answer: Pending | Finished,
        leave: Leave,
        submitted: float | None,
    ) -> None:
        finished = await self._wait(entry, connection, answer, submitted)
        patience = self._patience(entry, connection)
        await self._arrivals.keep_all(entry, connection.provider, finished, patience, leave)

    async def _wait(
        self,
        entry: OpenJob,
        connection: Connection,
        answer: Pending | Finished,
        submitted: float | None = None,
    ) -> Finished:
        """Poll a task until it ends. Unknown status words mean that it is still running."""
        said: dict[str, float] = {}
        clock = asyncio.get_running_loop().time
        patience = self._patience(entry, connection)

        def running(pending: Pending) -> None:
            if clock() - said.get(pending.status, -math.inf) >= _SAY_INTERVAL:
                said[pending.status] = clock()
                state = JobState.RUNNING
                self._log.say(entry, patience.provider, state, pending.status, pending.progress)
            if pending.warning and pending.warning not in said:
                said[pending.warning] = clock()
                self._log.warn(entry, pending.warning)

        async def poll(task_id: str) -> Pending | Finished:
            return await patience.try_(partial(connection.provider.poll, task_id), POLLS)

        experience = connection.experience(str(entry.draft.get("model")))
        return await see_end(answer, poll, running, connection.settings, experience, submitted)

    def _patience(self, entry: OpenJob, connection: Connection, wish: Interruption | None = None) -> Patience:
        """What is being paid for and has no name yet is not to be left, and so not cut short."""

        def on_wait(failure: ProviderFailure, seconds: float) -> None:
            words = f"{failure.message}; again in {seconds:.1f} s"
            self._log.say(entry, connection.settings.name, JobState.RETRYING, words)

        wish = wish or self._interruption
        return Patience(connection, wish if entry.id not in self.paying else None, on_wait)


def _origin(job: Job, connection: Connection) -> str:
    """Where a job is sent. A program with a price has no address; work that is free needs none."""
    if not job.resolved.sends:
        return ""
    url = connection.settings.base_url
    return origin_of(url) if url else "this machine"
