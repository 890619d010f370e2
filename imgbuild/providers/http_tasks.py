"""A described service, connected: the task lifecycle, with its own way to ask and to show the key."""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.providers.base import ProviderSettings
from imgbuild.providers.calls import Call
from imgbuild.providers.http_description import Description
from imgbuild.providers.http_dialect import HttpDialect
from imgbuild.providers.tasks import TaskProvider
from imgbuild.providers.transport import api_base, usable_key


class DescribedTasks(TaskProvider):
    """Tasks of a described service; one that answers at once gives finished ones."""

    def __init__(
        self, settings: ProviderSettings, base_url: str, dialect: HttpDialect, headers: Mapping[str, str]
    ) -> None:
        super().__init__(settings, base_url, dialect, headers)
        self._described = dialect

    def _poll_call(self, task_id: str) -> Call:
        return self._described.poll_call(task_id)


def connect_described(settings: ProviderSettings, description: Description) -> DescribedTasks:
    """Open the service. Raises UsageError for unusable settings."""
    headers = {}
    if description.auth is not None:
        headers[description.auth.header] = description.auth.format.replace("{key}", usable_key(settings))
    return DescribedTasks(settings, api_base(settings), HttpDialect(description), headers)
