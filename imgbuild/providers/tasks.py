"""A provider made of a task dialect: submit, poll and download, the same for every asynchronous service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urljoin

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.redact import clean, clean_json
from imgbuild.core.retry import Phase
from imgbuild.providers.answers import members, task_id_of
from imgbuild.providers.base import Finished, Pending, ProviderSettings, Request, Result, UrlResult
from imgbuild.providers.calls import Call
from imgbuild.providers.download import DownloadClient
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
        answer = await self._api.send(self._dialect.submit_call(request), Phase.SUBMIT)
        return self._settled(self._dialect.parse(answer, None))

    async def poll(self, task_id: str) -> Pending | Finished:
        """Ask for a task once."""
        asked = task_id_of(task_id)
        if asked is None:
            raise self._api.failure(FailureKind.INVALID, f"not a task id: {task_id}")
        path = self._dialect.poll_path(quote(asked, safe=""))
        answer = await self._api.send(Call("GET", path), Phase.POLL)
        return self._settled(self._dialect.parse(answer, asked))

    async def download(self, url: str, to: Path) -> None:
        """Stream a result to a file, without credentials."""
        await self._downloads.fetch(url, to)

    async def aclose(self) -> None:
        """Close connections."""
        await self._api.aclose()
        await self._downloads.aclose()

    def _settled(self, outcome: Pending | Finished | ProviderFailure) -> Pending | Finished:
        """The outcome with the service's texts made safe and its links made absolute."""
        secrets = [self._settings.api_key]
        if isinstance(outcome, ProviderFailure):
            raise self._api.failure(outcome.kind, outcome.message, retry_after=outcome.retry_after)
        if isinstance(outcome, Pending):
            warning = clean(outcome.warning, secrets) if outcome.warning else None
            return replace(outcome, status=clean(outcome.status, secrets, limit=80), warning=warning)
        usage = members(clean_json(dict(outcome.usage), secrets))
        return replace(outcome, results=tuple(map(self._absolute, outcome.results)), usage=usage)

    def _absolute(self, result: Result) -> Result:
        if not isinstance(result, UrlResult) or result.url[:5].lower() == "data:":
            return result
        try:
            return UrlResult(urljoin(self._api.base_url + "/", result.url))
        except ValueError:
            # Not an address at all; the download says so in its own words.
            return result


def connect_tasks(
    settings: ProviderSettings, dialect: TaskDialect, default_base_url: str | None = None
) -> TaskProvider:
    """Open a service that takes its key as a bearer token. Raises UsageError for unusable settings."""
    return TaskProvider(settings, api_base(settings, default_base_url), dialect, bearer(settings))
