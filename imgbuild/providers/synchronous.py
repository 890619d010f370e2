"""A provider made of a synchronous dialect: one request, and the pictures are in its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.retry import Phase
from imgbuild.providers.answers import made_safe
from imgbuild.providers.base import (
    FileResult,
    Finished,
    Pending,
    ProviderSettings,
    Request,
)
from imgbuild.providers.calls import Call
from imgbuild.providers.download import DownloadClient
from imgbuild.providers.pace import Pace
from imgbuild.providers.spill import discard, image_of, take_files
from imgbuild.providers.transport import ApiClient, api_base, bearer, tls_context

Picture = Callable[[str], FileResult]
"""Makes a result of a base64 text in an answer."""


class SynchronousDialect(Protocol):
    """What differs between synchronous services: without a connection, and pure but for `picture`."""

    def submit_call(self, request: Request) -> Call:
        """The request that makes pictures. Raises ProviderFailure where a reference cannot be sent."""
        ...

    def parse(self, answer: Json, picture: Picture) -> Finished | ProviderFailure:
        """What an answer says. Its pictures become results through `picture`, in their order."""
        ...


class SynchronousProvider:
    """A connected synchronous service. Nothing of it can be asked for again: an answer comes once."""

    def __init__(
        self,
        settings: ProviderSettings,
        base_url: str,
        dialect: SynchronousDialect,
        headers: Mapping[str, str],
    ) -> None:
        tls = tls_context()
        self._settings = settings
        self._dialect = dialect
        self._pace = Pace()
        self._api = ApiClient(settings, base_url, headers, tls, self._heed)
        self._downloads = DownloadClient(settings.name, base_url, settings.timeout, tls)

    async def submit(self, request: Request) -> Pending | Finished:
        """Send the request as soon as the service has room for it, and take its pictures."""
        call = self._dialect.submit_call(request)
        await asyncio.sleep(self._pace.claim(time.monotonic()))
        spilled = await self._api.send_spilled(call, Phase.SUBMIT)
        scratch = self._settings.scratch
        outcome = self._dialect.parse(spilled.json, lambda text: image_of(text, spilled, scratch))
        if isinstance(outcome, ProviderFailure):
            discard(spilled)
            raise self._api.failure(outcome.kind, outcome.message, retry_after=outcome.retry_after)
        finished = replace(outcome, results=take_files(outcome.results, spilled))
        return made_safe(finished, self._api.base_url, [self._settings.api_key])

    async def poll(self, task_id: str) -> Pending | Finished:
        """There are no tasks: always a failure."""
        raise self._api.failure(FailureKind.UNUSABLE, f"there are no tasks to ask for: {task_id}")

    async def download(self, url: str, to: Path) -> None:
        """Stream a result to a file, without credentials."""
        await self._downloads.fetch(url, to)

    async def aclose(self) -> None:
        """Close connections."""
        await self._api.aclose()
        await self._downloads.aclose()

    def _heed(self, headers: Mapping[str, str]) -> None:
        self._pace.heed(headers, time.monotonic())


def connect_synchronous(
    settings: ProviderSettings, dialect: SynchronousDialect, default_base_url: str | None = None
) -> SynchronousProvider:
    """Open a service that takes its key as a bearer token. Raises UsageError for unusable settings."""
    return SynchronousProvider(settings, api_base(settings, default_base_url), dialect, bearer(settings))
