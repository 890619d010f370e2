"""Results on their way into the cache: fetched, looked at, kept; what is unusable is kept aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from imgbuild.core import jobs
from imgbuild.core.errors import BadImageError, FailureKind, ProviderFailure, StorageError
from imgbuild.core.events import JobState
from imgbuild.core.jobs import OpenJob
from imgbuild.core.results import StoredResult
from imgbuild.images.decode import inspect
from imgbuild.providers.base import FileResult, Finished, Provider, Result
from imgbuild.run.job import make_result
from imgbuild.run.job_log import JobLog
from imgbuild.run.patience import POLLS, Patience
from imgbuild.run.threads import OwnThreads
from imgbuild.store.blobs import Blob
from imgbuild.store.cache import Cache
from imgbuild.store.encoding import to_json

Leave = Callable[[], Awaitable[None]]
"""Gives the place in flight to the next one: what the service had to do is done."""


class Arrivals:
    """Brings what services give into one cache. `looks` are the threads that decode them."""

    def __init__(self, cache: Cache, log: JobLog, looks: OwnThreads) -> None:
        self._cache = cache
        self._log = log
        self._looks = looks

    async def keep_all(
        self, entry: OpenJob, provider: Provider, finished: Finished, patience: Patience, leave: Leave
    ) -> None:
        """Bring every result of a job into the cache. A task whose result is unusable is asked once more.

        Raises:
            ProviderFailure: the first failure, after all results were tried.
            StorageError: the disk refuses.
        """
        results = zip(entry.takes, finished.results, strict=False)
        arriving = (self.fetch(entry, provider, take, result, patience) for take, result in results)
        arrived = await asyncio.gather(*arriving, return_exceptions=True)
        await leave()
        first: ProviderFailure | None = None
        for index, take in enumerate(entry.takes):
            try:
                if index >= len(arrived):
                    raise ProviderFailure(
                        FailureKind.UNUSABLE,
                        f"{len(entry.takes)} results were asked for, {len(finished.results)} came",
                    )
                try:
                    await self._keep(entry, take, arrived[index], finished)
                except ProviderFailure as failure:
                    if failure.kind is not FailureKind.UNUSABLE or finished.task_id is None:
                        raise
                    again = await patience.try_(partial(provider.poll, finished.task_id), POLLS)
                    if not isinstance(again, Finished) or index >= len(again.results):
                        raise
                    path = await self.fetch(entry, provider, take, again.results[index], patience)
                    await self._keep(entry, take, path, finished)
            except ProviderFailure as failure:
                first = first or failure
        if first is not None:
            raise first

    async def fetch(
        self, entry: OpenJob, provider: Provider, take: int, result: Result, patience: Patience
    ) -> Path:
        """Have a result's bytes in a file of its own. Raises as `keep_all` does."""
        if isinstance(result, FileResult):
            return result.path
        path = self._cache.blobs.scratch()
        self._log.say(entry, patience.provider, JobState.DOWNLOADING, take=take)
        try:
            await patience.try_(partial(provider.download, result.url, path))
        except ProviderFailure as failure:
            if failure.kind is not FailureKind.UNUSABLE:
                raise
            raise await asyncio.to_thread(self._unusable, entry, path, failure.message) from None
        return path

    async def _keep(
        self, entry: OpenJob, take: int, arrived: Path | BaseException, finished: Finished
    ) -> None:
        if isinstance(arrived, BaseException):
            raise arrived
        try:
            facts = await self._looks.run(inspect, arrived)
        except BadImageError as error:
            words = f"the result is not usable: {error.message}"
            raise await asyncio.to_thread(self._unusable, entry, arrived, words) from None

        def make(blob: Blob) -> StoredResult:
            return make_result(entry, take, facts, blob, finished)

        def ready(stored: StoredResult) -> None:
            # Without this line nothing is lost but the way to find it after a kill just now; a disk that
            # cannot take it must not keep the record from being tried.
            try:
                self._log.append(entry, jobs.ready(entry.id, take, to_json(stored)))
            except StorageError as error:
                self._log.warn(entry, error.message)

        await asyncio.to_thread(self._cache.keep_result, arrived, make, ready)

    def _unusable(self, entry: OpenJob, path: Path, words: str) -> ProviderFailure:
        """What is wrong with a result; its bytes, if there are any, were paid for and are kept."""
        if not path.exists() or not path.stat().st_size:
            path.unlink(missing_ok=True)
            return ProviderFailure(FailureKind.UNUSABLE, words)
        kept = self._cache.blobs.quarantine(path, f"{entry.image_id}: {words}")
        return ProviderFailure(FailureKind.UNUSABLE, words, remedy=f"kept as {kept}")
