"""Paying for pictures: submit, poll, fetch, keep. Every key and take at most once in a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from imgbuild.core.errors import BadImageError, FailureKind, ImgbuildError, ProviderFailure
from imgbuild.core.events import Emit, JobEvent, JobState, WarningEvent
from imgbuild.core.image import FileReference, Image, Reference
from imgbuild.core.plan.action import Action
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.plan.spec import Keys, Spec
from imgbuild.core.results import StoredResult
from imgbuild.core.sniff import ImageFacts
from imgbuild.images.decode import inspect
from imgbuild.providers.base import FileResult, Finished, Pending, ReferenceFile, Request, Result
from imgbuild.run.connections import Connection, Connections
from imgbuild.run.patience import patiently
from imgbuild.run.purse import Purse
from imgbuild.store.blobs import Blob
from imgbuild.store.cache import Cache
from imgbuild.store.fsio import digest_file

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
_POLLS = 1_000_000
"""A paid task is asked for until its deadline, however often the service breaks down meanwhile."""
_CLOSES_PROVIDER = frozenset({FailureKind.AUTH, FailureKind.CREDIT})


@dataclass(frozen=True, slots=True)
class Job:
    """One request: an image's spec, and the takes that its results become."""

    resolved: Resolved
    spec: Spec
    keys: Keys
    takes: tuple[int, ...]

    @property
    def image(self) -> Image:
        """The image that it is for."""
        return self.resolved.image

    @property
    def cost(self) -> float | None:
        """The estimate for all of its takes; None where nobody knows."""
        if not self.resolved.sends:
            return 0.0
        return None if self.resolved.price is None else self.resolved.price * len(self.takes)


class Generator:
    """Fetches results for actions, within the limits of providers, jobs and money."""

    def __init__(
        self,
        root: Path,
        cache: Cache,
        connections: Connections,
        purse: Purse,
        emit: Emit,
        *,
        jobs: int | None,
        offline: bool,
        placeholder: bool,
    ) -> None:
        self._root = root
        self._cache = cache
        self._connections = connections
        self._purse = purse
        self._emit = emit
        self._jobs = asyncio.Semaphore(jobs) if jobs else None
        self._offline = offline
        self._placeholder = placeholder
        self._claims: dict[tuple[str, int], asyncio.Future[None]] = {}
        self.submitted = 0
        """Requests that went over the network."""

    async def obtain(self, action: Action) -> None:
        """Have every missing take of an action in the cache, generated here or by another image's job.

        Raises:
            ImgbuildError: the first failure, after all takes came to an end.
        """
        if action.resolved is None or action.spec is None or action.keys is None:
            raise TypeError(f"{action.id} is not ready to be generated")
        key = action.keys.current
        own = [take for take in action.missing if (key, take) not in self._claims]
        others = [self._claims[key, take] for take in action.missing if take not in own]
        loop = asyncio.get_running_loop()
        claimed = {take: loop.create_future() for take in own}
        self._claims.update({(key, take): future for take, future in claimed.items()})
        n = action.resolved.max_n
        jobs = [
            Job(action.resolved, action.spec, action.keys, tuple(own[start : start + n]))
            for start in range(0, len(own), n)
        ]
        outcomes: list[BaseException | None] = []
        try:
            outcomes += await asyncio.gather(*(self._run(job) for job in jobs), return_exceptions=True)
        finally:
            for future in claimed.values():
                future.set_result(None)
        await asyncio.gather(*others)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _run(self, job: Job) -> None:
        image = job.image
        if self._offline and job.resolved.sends:
            raise ImgbuildError(
                f"{image.id} has to be generated, and --offline forbids it", remedy="build without --offline"
            )
        connection = self._connections.get("placeholder" if self._placeholder else image.provider)
        async with AsyncExitStack() as places:
            if self._jobs:
                await places.enter_async_context(self._jobs)
            await places.enter_async_context(connection.limiter.place())
            finished = await self._submit(job, connection)
            await self._keep_all(job, connection, finished)
            await connection.limiter.learn(None)

    async def _submit(self, job: Job, connection: Connection) -> Finished:
        """Send the request, again and again while nothing can have been charged, and wait for its end."""
        request = await asyncio.to_thread(self._request, job)

        async def send() -> Pending | Finished:
            if connection.stopped:
                raise connection.stopped
            await connection.limiter.pace()
            self._purse.take(job.cost)
            self._say(job, JobState.SUBMITTING)
            self.submitted += job.resolved.sends
            try:
                return await connection.provider.submit(request)
            except ProviderFailure as failure:
                if failure.kind in _NOTHING_CHARGED:
                    self._purse.give_back(job.cost)
                if failure.kind in _CLOSES_PROVIDER:
                    connection.stopped = failure
                raise

        answer = await self._patiently(job, connection, send)
        return await self._wait(job, connection, answer) if isinstance(answer, Pending) else answer

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
            self._cache.keep_result, path, lambda blob: _stored(job, take, facts, blob, finished)
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

    def _request(self, job: Job) -> Request:
        image, spec, asked = job.image, job.spec, job.spec.asked
        mask = self._reference(image.mask, spec.mask) if image.mask and spec.mask else None
        return Request(
            prompt=spec.prompt,
            model=spec.model,
            negative_prompt=spec.negative_prompt,
            size=asked.size,
            ratio=asked.ratio,
            resolution=asked.resolution,
            quality=spec.quality,
            background=spec.background,
            format=image.format,
            seed=spec.seed,
            n=len(job.takes),
            first_take=job.takes[0],
            references=tuple(map(self._reference, image.references, spec.references)),
            mask=mask,
            params=spec.params,
        )

    def _reference(self, reference: Reference, digest: str) -> ReferenceFile:
        """A reference's bytes, exactly those that stand in the key."""
        if isinstance(reference, FileReference):
            path = self._root / reference.path
            if digest_file(path) != digest:
                raise ImgbuildError(f"{reference.path} changed while building", remedy="build again")
        else:
            path = self._cache.blobs.verified(digest)
        facts = inspect(path)
        url = None if isinstance(reference, FileReference) else getattr(reference, "url", None)
        return ReferenceFile(path, digest, f"image/{facts.format}", url)

    def _say(
        self, job: Job, state: JobState, detail: str | None = None, progress: float | None = None
    ) -> None:
        image = job.image
        self._emit(JobEvent(image.id, state, image.provider, job.takes[0], detail, progress))


def _stored(job: Job, take: int, facts: ImageFacts, blob: Blob, finished: Finished) -> StoredResult:
    resolved = job.resolved
    return StoredResult(
        key=job.keys.current,
        take=take,
        digest=blob.digest,
        format=facts.format,
        width=facts.width,
        height=facts.height,
        bytes=blob.bytes,
        spec=job.spec.record(),
        provider=resolved.provider_type,
        image_id=resolved.image.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=resolved.image.model,
        declared=job.keys.declared,
        cost=resolved.price if resolved.sends else None,
        unit=resolved.unit if resolved.sends and resolved.price is not None else None,
        usage=finished.usage,
    )
