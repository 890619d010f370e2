"""Who pays for what: every key and take once, in this run, in other processes, and after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from imgbuild.core import jobs
from imgbuild.core.errors import FailureKind, ImgbuildError, ProviderFailure
from imgbuild.core.events import Emit, JobEvent, JobState
from imgbuild.core.jobs import OpenJob, Stage
from imgbuild.core.plan.action import Action
from imgbuild.run.connections import Connection, Connections
from imgbuild.run.job import Job
from imgbuild.run.trust import origin_of
from imgbuild.run.worker import Worker
from imgbuild.store.cache import Cache

_CLAIM_INTERVAL = 0.1
"""Seconds between two looks at a key that another build is paying for."""


class Generator:
    """Brings missing takes into the cache, within the limits of providers and jobs."""

    def __init__(
        self,
        cache: Cache,
        connections: Connections,
        worker: Worker,
        emit: Emit,
        *,
        jobs: int | None,
        offline: bool,
        placeholder: bool,
        retry: bool,
    ) -> None:
        self._cache = cache
        self._connections = connections
        self._worker = worker
        self._emit = emit
        self._jobs = asyncio.Semaphore(jobs) if jobs else None
        self._offline = offline
        self._placeholder = placeholder
        self._retry = retry
        self._claims: dict[tuple[str, int], asyncio.Future[ImgbuildError | None]] = {}

    async def obtain(self, action: Action) -> None:
        """Have every missing take of an action in the cache, generated here or by whoever began first.

        Raises:
            ImgbuildError: the first failure, after all takes came to an end.
        """
        if action.resolved is None or action.spec is None or action.keys is None:
            raise TypeError(f"{action.id} is not ready to be generated")
        if self._offline and action.resolved.sends:
            raise ImgbuildError(
                f"{action.id} has to be generated, and --offline forbids it", remedy="build without --offline"
            )
        key = action.keys.current
        own = tuple(take for take in action.missing if (key, take) not in self._claims)
        others = {take: self._claims[key, take] for take in action.missing if take not in own}
        loop = asyncio.get_running_loop()
        claimed = {take: loop.create_future() for take in own}
        self._claims.update({(key, take): future for take, future in claimed.items()})
        failure: ImgbuildError | None = None
        try:
            if own:
                async with self._payer(action, key):
                    await self._pay(Job(action.resolved, action.spec, action.keys, own))
        except ImgbuildError as error:
            failure = error
            raise
        finally:
            for future in claimed.values():
                future.set_result(failure)
        for take, shared in others.items():
            # Shielded: an image that stops waiting must not end the payment that others wait for.
            failed = await asyncio.shield(shared)
            if failed is not None and not self._is_kept(key, take):
                raise failed

    @asynccontextmanager
    async def _payer(self, action: Action, key: str) -> AsyncIterator[None]:
        """Be the only one who pays for a key, on this cache. The system lets go of it if we are killed."""
        if action.resolved is None or not action.resolved.sends:
            yield
            return
        journal = self._cache.journal
        said = False
        while (claim := journal.try_claim(key)) is None:
            if not said:
                provider = action.resolved.image.provider
                detail = "another build is paying for it"
                self._emit(JobEvent(action.id, JobState.WAITING, provider, detail=detail))
                said = True
            await asyncio.sleep(_CLAIM_INTERVAL)
        try:
            yield
            journal.tidy(key)
        finally:
            claim.release()

    async def _pay(self, whole: Job) -> None:
        """Go on with what was submitted before, submit the rest, and see all of it through."""
        missing = [take for take in whole.takes if not self._is_kept(whole.keys.current, take)]
        open_jobs = self._cache.journal.open_jobs(whole.keys.current) if whole.resolved.sends else ()
        waiting: list[tuple[Job, OpenJob | None]] = []
        failures: list[BaseException] = []
        for entry in open_jobs:
            takes = tuple(take for take in entry.takes if take in missing)
            if not takes:
                continue
            if entry.stage is Stage.SUBMITTED:
                waiting.append((whole.part(entry.takes), entry))
            elif self._retry:
                self._cache.journal.append(entry.key, jobs.closed(entry.id, "retried"))
                continue
            else:
                failures.append(_may_be_charged(entry))
            missing = [take for take in missing if take not in takes]
        n = whole.resolved.max_n
        waiting += [
            (whole.part(tuple(missing[start : start + n])), None) for start in range(0, len(missing), n)
        ]
        outcomes = await asyncio.gather(
            *(self._run(job, entry) for job, entry in waiting), return_exceptions=True
        )
        failures += [outcome for outcome in outcomes if outcome is not None]
        if failures:
            raise failures[0]

    async def _run(self, job: Job, entry: OpenJob | None) -> None:
        connection = self._connection(job, entry)
        async with AsyncExitStack() as places:
            if self._jobs:
                await places.enter_async_context(self._jobs)
            await places.enter_async_context(connection.limiter.place())
            if entry is None:
                await self._worker.generate(job, connection)
            else:
                await self._worker.resume(job, connection, entry)
            await connection.limiter.learn(None)

    def _connection(self, job: Job, entry: OpenJob | None) -> Connection:
        """The provider to ask; for a task of an earlier build, the one that has it."""
        own = "placeholder" if self._placeholder else job.image.provider
        if entry is None:
            return self._connections.get(own)
        for name in self._connections.of_type(entry.provider, first=own):
            url = self._connections.base_url(name)
            if url is not None and origin_of(url) == entry.origin:
                return self._connections.get(name)
        raise ProviderFailure(
            FailureKind.AMBIGUOUS,
            f"task {entry.task_id} was submitted to {entry.origin}, which no provider of the manifest is",
            remedy=f"configure it again, or give the task up with imgbuild jobs forget {entry.id}",
        )

    def _is_kept(self, key: str, take: int) -> bool:
        result = self._cache.records.result(key, take)
        return result is not None and self._cache.blobs.has(result.digest)


def _may_be_charged(entry: OpenJob) -> ProviderFailure:
    cost = f", {entry.cost:g} {entry.unit}" if entry.cost and entry.unit else ""
    return ProviderFailure(
        FailureKind.AMBIGUOUS,
        f"may have been charged on {entry.since}{cost}: {entry.reason}",
        remedy="--retry-ambiguous submits it again; imgbuild jobs lists such submissions",
    )
