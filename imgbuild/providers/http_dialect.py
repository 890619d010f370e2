"""A described service's wire format, as the task lifecycle wants it. Pure but for references in a body."""

from __future__ import annotations

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import UnknownModel
from imgbuild.providers import http_answer, http_request
from imgbuild.providers.base import Finished, Pending, Request
from imgbuild.providers.calls import Call
from imgbuild.providers.http_description import Description


class HttpDialect:
    """What is sent, and what the answers mean."""

    def __init__(self, description: Description) -> None:
        self._description = description

    def submit_call(self, request: Request) -> Call:
        """The description's request, filled in. Raises ProviderFailure for a model that it does not have."""
        able = self._description.models.capabilities(request.model)
        if isinstance(able, UnknownModel):
            raise ProviderFailure(FailureKind.INVALID, f"there is no model {request.model}")
        return http_request.submit_call(self._description.submit, request, able)

    def poll_call(self, task_id: str) -> Call:
        """The request that asks for a task. Raises ProviderFailure for a service without tasks."""
        if self._description.poll is None:
            raise ProviderFailure(FailureKind.INVALID, "the service has no tasks to ask for")
        return http_request.poll_call(self._description.poll, task_id)

    def poll_path(self, task_id: str) -> str:
        """The path of that request; `task_id` is quoted already, which changes nothing in an id."""
        return self.poll_call(task_id).path

    def parse(self, answer: Json, asked: str | None) -> Pending | Finished | ProviderFailure:
        """What the description's pointers find."""
        return http_answer.parse(self._description, answer, asked)
