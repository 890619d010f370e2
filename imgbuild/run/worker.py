"""One paid job from its request to its results in the cache, written down before and after every step."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from imgbuild.core import jobs
from imgbuild.core.errors import BadImageError, FailureKind, ProviderFailure
from imgbuild.core.events import Emit, JobEvent, JobState, WarningEvent
from imgbuild.core.image import Json
from imgbuild.core.jobs import OpenJob, Stage
from imgbuild.images.decode import inspect
from imgbuild.providers.base import FileResult, Finished, Pending, Result
from imgbuild.run.connections import Connection
from imgbuild.run.job import Job, make_request, make_result, now
from imgbuild.run.patience import patiently
from imgbuild.run.purse import Purse
from imgbuild.run.trust import origin_of
from imgbuild.store.cache import Cache

T = TypeVar("T")

_NOTHING_CHARGED = frozenset(
    {
        FailureKind.AUTH,
        FailureKind.CREDIT,
        FailureKind.RATE_LIMITED,
        FailureKind.TRANSIENT,
        FailureKind.INVALID,
    }
)
_OVER = frozenset({FailureKind.REFUSED, FailureKind.FAILED, FailureKind.INVALID})
_UNCLEAR = frozenset({FailureKind.AMBIGUOUS, FailureKind.UNUSABLE})
_CLOSES_PROVIDER = frozenset({FailureKind.AUTH, FailureKind.CREDIT})
_POLLS = 1_000_000
"""A paid task is asked for until its deadline, however often the service breaks down meanwhile."""


class Worker:
    """Carries jobs out. What it does with money, it writes into the journal first."""

    def __init__(self, root: Path, cache: Cache, purse: Purse, emit: Emit) -> None:
        self._root = root
        self._cache = cache
        self._purse = purse
        self._emit = emit
        self.submitted = 0
        """Requests that went over the network."""
        self.resumed = 0
        """Tasks of earlier builds that were gone on with."""
        self.sending: set[str] = set()
        """Images whose request is under way: stopped now, nobody knows whether it is charged."""
        self.running: set[str] = set()
        """Images whose task is recorded: the next build goes on with it."""

    def left_behind(self) -> tuple[str, ...]:
        """What a build that stops now leaves behind, in sentences."""
        running, sending = sorted(self.running), sorted(self.sending)
        sentences = []
        if running:
            sentences.append(f"in flight, and gone on with by the next build: {', '.join(running)}")
        if sending:
            sentences.append(
                f"unknown, since no answer came yet: {', '.join(sending)}; may have been charged, "
                "and --retry-ambiguous submits it again"
            )
        return tuple(sentences)

    async def generate(self, job: Job, connection: Connection) -> None:
        """Submit a request and bring its results into the cache.

        Raises:
            ProviderFailure: what went wrong, after it was written down.
        """
        entry, answer = await self._submit(job, connection)
        await self._see_through(job, connection, entry, answer)

    async def resume(self, job: Job, connection: Connection, entry: OpenJob) -> None:
        """Go on with a task that an earlier build submitted.

        Raises:
            ProviderFailure: what went wrong, after it was written down.
        """
        if entry.task_id is None:
            raise TypeError(f"job {entry.id} has no task to go on with")
        self.resumed += 1
        await self._see_through(job, connection, entry, Pending(entry.task_id, "submitted before"))

    async def _submit(self, job: Job, connection: Connection) -> tuple[OpenJob, Pending | Finished]:
        """Send the request, again and again while nothing can have been charged."""
        request = await asyncio.to_thread(make_request, job, self._root, self._cache)

        async def send() -> tuple[OpenJob, Pending | Finished]:
            if connection.stopped:
                raise connection.stopped
            await connection.limiter.pace()
            self._purse.take(job.cost)
            entry = _entry(job, connection)
            await self._write(entry, jobs.intent(entry))
            self._say(job, JobState.SUBMITTING)
            self.submitted += job.resolved.sends
            self.sending.add(job.image.id)
            try:
                answer = await connection.provider.submit(request)
            except ProviderFailure as failure:
                self.sending.discard(job.image.id)
                if failure.kind in _NOTHING_CHARGED:
                    self._purse.give_back(job.cost)
                if failure.kind in _CLOSES_PROVIDER:
                    connection.stopped = failure
                await self._write(entry, _after(entry, failure))
                raise
            if answer.task_id is not None:
                await self._write(entry, jobs.submitted(entry.id, answer.task_id))
                entry = replace(entry, stage=Stage.SUBMITTED, task_id=answer.task_id)
            self.sending.discard(job.image.id)
            return entry, answer

        return await self._patiently(job, connection, send)

    async def _see_through(
        self, job: Job, connection: Connection, entry: OpenJob, answer: Pending | Finished
    ) -> None:
        """Wait for a task's end and keep its results; whatever comes of it is written down."""
        self.running.add(job.image.id)
        try:
            finished = await self._wait(job, connection, answer) if isinstance(answer, Pending) else answer
            await self._keep_all(job, connection, finished)
        except ProviderFailure as failure:
            self.running.discard(job.image.id)
            if failure.kind in _OVER | _UNCLEAR or entry.task_id is None:
                await self._write(entry, _after(entry, failure))
            raise
        await self._write(entry, jobs.closed(entry.id, "stored"))
        self.running.discard(job.image.id)

    async def _wait(self, job: Job, connection: Connection, answer: Pending) -> Finished:
        """Poll a task until it ends. Unknown status words mean that it is still running."""
        settings = connection.settings
        loop = asyncio.get_running_loop()
        end = loop.time() + settings.deadline
        warned: set[str] = set()
        current: Pending | Finished = answer
        while isinstance(current, Pending):
            self._say(job, JobState.RUNNING, current.status, current.progress)
            if current.warning and current.warning not in warned:
                warned.add(current.warning)
                self._emit(WarningEvent(current.warning, job.image.id))
            if loop.time() >= end:
                raise ProviderFailure(
                    FailureKind.EXPIRED,
                    f"task {answer.task_id} did not end within {settings.deadline:g} s; last status: "
                    f"{current.status}",
                    remedy="raise the provider's deadline",
                )
            await asyncio.sleep(min(settings.poll_interval, max(0.0, end - loop.time())))
            current = await self._patiently(
                job, connection, lambda: connection.provider.poll(answer.task_id), _POLLS
            )
        return current if current.task_id else replace(current, task_id=answer.task_id)

    async def _keep_all(self, job: Job, connection: Connection, finished: Finished) -> None:
        """Bring every result into the cache. A task whose result is unusable is asked once more."""
        first: ProviderFailure | None = None
        results = finished.results
        for index, take in enumerate(job.takes):
            try:
                if index >= len(results):
                    raise ProviderFailure(
                        FailureKind.UNUSABLE,
                        f"{len(job.takes)} results were asked for, {len(results)} came",
                    )
                try:
                    await self._keep(job, connection, take, results[index], finished)
                except ProviderFailure as failure:
                    if failure.kind is not FailureKind.UNUSABLE or finished.task_id is None:
                        raise
                    again = await connection.provider.poll(finished.task_id)
                    if not isinstance(again, Finished) or index >= len(again.results):
                        raise
                    results = again.results
                    await self._keep(job, connection, take, results[index], finished)
            except ProviderFailure as failure:
                first = first or failure
        if first is not None:
            raise first

    async def _keep(
        self, job: Job, connection: Connection, take: int, result: Result, finished: Finished
    ) -> None:
        if isinstance(result, FileResult):
            path = result.path
        else:
            path = self._cache.blobs.scratch()
            self._say(job, JobState.DOWNLOADING)
            await self._patiently(job, connection, lambda: connection.provider.download(result.url, path))
        try:
            facts = await asyncio.to_thread(inspect, path)
        except BadImageError as error:
            kept = self._cache.blobs.quarantine(path, f"{job.image.id}: {error.message}")
            raise ProviderFailure(
                FailureKind.UNUSABLE, f"the result is not usable: {error.message}", remedy=f"kept as {kept}"
            ) from None
        await asyncio.to_thread(
            self._cache.keep_result, path, lambda blob: make_result(job, take, facts, blob, finished)
        )

    async def _patiently(
        self,
        job: Job,
        connection: Connection,
        operation: Callable[[], Awaitable[T]],
        attempts: int | None = None,
    ) -> T:
        return await patiently(
            operation,
            connection,
            lambda failure, seconds: self._say(
                job, JobState.RETRYING, f"{failure.message}; again in {seconds:.1f} s"
            ),
            attempts,
        )

    async def _write(self, entry: OpenJob, event: Mapping[str, Json]) -> None:
        """Into the journal, for what goes over a network; a local engine's work is free to do again."""
        if entry.origin:
            await asyncio.to_thread(self._cache.journal.append, entry.key, event)

    def _say(
        self, job: Job, state: JobState, detail: str | None = None, progress: float | None = None
    ) -> None:
        image = job.image
        self._emit(JobEvent(image.id, state, image.provider, job.takes[0], detail, progress))


def _entry(job: Job, connection: Connection) -> OpenJob:
    url = connection.settings.base_url
    return OpenJob(
        id=secrets.token_hex(6),
        key=job.keys.current,
        takes=job.takes,
        stage=Stage.UNKNOWN,
        provider=job.resolved.provider_type,
        # A program with a price has no address, and its work is not free to do again either.
        origin=(origin_of(url) if url else "this machine") if job.resolved.sends else "",
        image_id=job.image.id,
        since=now(),
        cost=job.cost,
        unit=job.resolved.unit,
    )


def _after(entry: OpenJob, failure: ProviderFailure) -> Mapping[str, Json]:
    """What a failure means for a job: unclear is never taken for over."""
    if failure.kind in _UNCLEAR:
        return jobs.unknown(entry.id, failure.message)
    return jobs.closed(entry.id, "failed")
