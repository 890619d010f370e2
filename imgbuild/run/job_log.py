"""What is told of a paid job: to the journal, which outlasts a crash, and to the display."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from imgbuild.core import jobs
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.events import Emit, JobEvent, JobState, WarningEvent
from imgbuild.core.image import Json
from imgbuild.core.jobs import NOTHING_CHARGED, End, OpenJob, Stage
from imgbuild.run.open_jobs import give_up
from imgbuild.store.cache import Cache


class JobLog:
    """Writes for the holders of the claims of the jobs' keys. Writing may raise StorageError."""

    def __init__(self, cache: Cache, emit: Emit) -> None:
        self._cache = cache
        self._emit = emit

    async def write(self, entry: OpenJob, event: Mapping[str, Json]) -> None:
        """Put a line into the journal; when this returns, it outlasts a power cut."""
        await asyncio.to_thread(self.append, entry, event)

    def append(self, entry: OpenJob, event: Mapping[str, Json]) -> None:
        """The same in this thread. A local engine has no journal: its work is free to do again."""
        if entry.origin:
            self._cache.journal.append(entry.key, event)

    async def note(self, entry: OpenJob, failure: ProviderFailure, left: Stage | End) -> None:
        """Write down where a failure leaves a job."""
        match left:
            case Stage.UNKNOWN:
                await self.write(entry, jobs.unknown(entry.id, failure.message))
            case Stage.EXPIRED:
                await self.write(entry, jobs.expired(entry.id))
            case End.FAILED if failure.kind in NOTHING_CHARGED:
                await self.write(entry, jobs.closed(entry.id, End.FAILED))
            case End.FAILED if entry.origin:
                await asyncio.to_thread(give_up, self._cache, entry, End.FAILED, failure.kind.value)

    def say(
        self,
        entry: OpenJob,
        provider: str,
        state: JobState,
        detail: str | None = None,
        progress: float | None = None,
        take: int | None = None,
    ) -> None:
        """Tell the display how a job stands, at the provider of this name."""
        self._emit(JobEvent(entry.image_id, state, provider, take or entry.takes[0], detail, progress))

    def warn(self, entry: OpenJob, words: str) -> None:
        """Tell the display what is not as it should be."""
        self._emit(WarningEvent(words, entry.image_id))
