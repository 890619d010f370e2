"""A provider made of a task dialect: submit, poll and download, the same for every asynchronous service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.redact import clean
from imgbuild.core.retry import Phase
from imgbuild.providers.answers import made_safe, task_id_of
from imgbuild.providers.base import Finished, Pending, ProviderSettings, Request
from imgbuild.providers.calls import Call
from imgbuild.providers.download import DownloadClient
from imgbuild.providers.spill import discard, take_files
from imgbuild.providers.transport import ApiClient, api_base, bearer, tls_context


class TaskDialect(Protocol):
    """What differs between asynchronous services: pure, without a connection."""

    def submit_call(self, request: Request) -> Call:
        """The request that creates a task."""
        ...

    def poll_path(self, task_id: str) -> str:
        """Where a task is asked for; `task_id` is already quoted for a path."""
        ...

    def parse(self, answer: Json, asked: str | None) -> Pending | Finished | ProviderFailure:
        """What an answer says; `asked` is the polled id, None for the answer to a submission."""
        ...


class TaskProvider:
    """A connected asynchronous service."""

    def __init__(
        self, settings: ProviderSettings, base_url: str, dialect: TaskDialect, headers: Mapping[str, str]
    ) -> None:
        tls = tls_context()
        self._settings = settings
        self._dialect = dialect
        self._api = ApiClient(settings, base_url, headers, tls)
        self._downloads = DownloadClient(settings.name, base_url, settings.timeout, tls)

    async def submit(self, request: Request) -> Pending | Finished:
        """Create a task. Some services answer with the finished one."""
        return await self._ask(self._dialect.submit_call(request), Phase.SUBMIT, None)

    async def poll(self, task_id: str) -> Pending | Finished:
        """Ask for a task once."""
        asked = task_id_of(task_id)
        if asked is None:
            raise self._api.failure(FailureKind.INVALID, f"not a task id: {task_id}")
        return await self._ask(self._poll_call(asked), Phase.POLL, asked)

    async def download(self, url: str, to: Path) -> None:
        """Stream a result to a file, without credentials."""
        await self._downloads.fetch(url, to)

    async def aclose(self) -> None:
        """Close connections."""
        await self._api.aclose()
        await self._downloads.aclose()

    def _poll_call(self, task_id: str) -> Call:
        return Call("GET", self._dialect.poll_path(quote(task_id, safe="")))

    async def _ask(self, call: Call, phase: Phase, asked: str | None) -> Pending | Finished:
        """The outcome with the service's texts made safe, its links absolute, its pictures in files."""
        spilled = await self._api.send_spilled(call, phase)
        outcome = self._dialect.parse(spilled.json, asked)
        secrets = [self._settings.api_key]
        if isinstance(outcome, Finished):
            finished = replace(outcome, results=take_files(outcome.results, spilled))
            return made_safe(finished, self._api.base_url, secrets)
        discard(spilled)
        if isinstance(outcome, ProviderFailure):
            raise self._api.failure(outcome.kind, outcome.message, retry_after=outcome.retry_after)
        warning = clean(outcome.warning, secrets) if outcome.warning else None
        return replace(outcome, status=clean(outcome.status, secrets, limit=80), warning=warning)


def connect_tasks(
    settings: ProviderSettings, dialect: TaskDialect, default_base_url: str | None = None
) -> TaskProvider:
    """Open a service that takes its key as a bearer token. Raises UsageError for unusable settings."""
    return TaskProvider(settings, api_base(settings, default_base_url), dialect, bearer(settings))
