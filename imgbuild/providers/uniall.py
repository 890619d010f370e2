"""The `uniall` dialect: asynchronous image tasks of UniAll, for gpt-image-2 and NanoBanana."""

from __future__ import annotations

from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.answers import (
    TaskAnswer,
    business_error,
    members,
    outcome,
    text_of,
    unreadable,
    urls_of,
)
from imgbuild.providers.base import Finished, Pending, Provider, ProviderSettings, ReferenceFile, Request
from imgbuild.providers.calls import Call, FilePart
from imgbuild.providers.uniall_models import DEFAULT_SIZE, GPT_IMAGE, models

_TASKS = "/v1/images/tasks"
_SUCCESS = frozenset({"", "success", "ok", "0", "200"})


class UniallDialect:
    """The wire format: what is sent, and what the answers mean."""

    def submit_call(self, request: Request) -> Call:
        """`POST /v1/images/tasks`: JSON, or a form with every reference as a file if one has no URL."""
        body: dict[str, Json] = dict(request.params)
        body |= {
            "model": request.model,
            "prompt": request.prompt,
            "task_type": "image2image" if request.references else "text2image",
            "response_format": "url",
        }
        if request.model == GPT_IMAGE:
            body["size"] = str(request.size or DEFAULT_SIZE)
        optional: dict[str, Json] = {
            "aspect_ratio": request.ratio,
            "quality": request.quality,
            "output_format": request.format,
            "n": request.n if request.n > 1 else None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        urls: list[Json] = [reference.url for reference in request.references if reference.url]
        if len(urls) < len(request.references):
            files = tuple(_part(number, file) for number, file in enumerate(request.references, start=1))
            return Call("POST", _TASKS, body, files)
        if urls:
            body |= {"image": urls[0]} if len(urls) == 1 else {"images": urls}
        return Call("POST", _TASKS, body)

    def poll_path(self, task_id: str) -> str:
        """`GET /v1/images/tasks/{task_id}`."""
        return f"{_TASKS}/{task_id}"

    def parse(self, answer: Json, asked: str | None) -> Pending | Finished | ProviderFailure:
        """A task object, flat or as `data` in an envelope `{code, message, data}`; or an error body."""
        top = members(answer)
        if text_of(top.get("code")).lower() not in _SUCCESS:
            return business_error(answer, asked)
        enveloped = isinstance(top.get("data"), dict)
        task = members(top["data"]) if enveloped else top
        if "status" not in task and "task_id" not in task:
            if task.get("error"):
                return business_error(answer, asked)
            return unreadable("the service's answer holds no task", asked)
        metadata = members(task.get("metadata"))
        return outcome(
            TaskAnswer(
                task_id=task.get("task_id"),
                status=task.get("status"),
                urls=urls_of(metadata.get("result_urls"), task.get("result_url")),
                # A gateway of the same family writes `fail_reason`.
                error=task.get("error") or task.get("fail_reason"),
                progress=task.get("progress"),
                usage=members(task.get("usage")),
            ),
            asked,
        )


class UniallType:
    """The provider type `uniall`. It publishes no prices."""

    name = "uniall"
    default_base_url: str | None = None
    needs_key = True
    local = False
    engine: str | None = None

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for."""
        known = models().get(model or "")
        return known or UnknownModel(model, self.known_models())

    def known_models(self) -> tuple[str, ...]:
        """The documented models."""
        return tuple(models())

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it."""
        from imgbuild.providers.tasks import connect_tasks

        return connect_tasks(settings, UniallDialect(), self.default_base_url)


def _part(number: int, reference: ReferenceFile) -> FilePart:
    extension = reference.media_type.rpartition("/")[2].partition("+")[0] or "bin"
    name = f"reference-{number}.{extension}"
    return FilePart("image", reference.path, name, reference.media_type, reference.digest)


TYPE = UniallType()
