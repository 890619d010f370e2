"""The `jimmyai` dialect: asynchronous image tasks of Jimmy AI, for gpt-image-2 and nano-banana."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.core.suggest import did_you_mean
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
from imgbuild.providers.calls import Call
from imgbuild.providers.inline import base64_of, data_uri
from imgbuild.providers.jimmyai_models import models

_TASKS = "/api/open-api/v1/images"
_SUCCESS = ("", "20000")
# The service's pages disagree on names: each list begins with the one of the reference for images.
_TASK_IDS = ("task_id", "taskId")
_LINKS = ("image_url", "image_urls", "url", "mediaUrl")
_ERRORS = ("error_message", "error_msg", "reason", "error")

_ENCODING = "reference_encoding"
_ENCODINGS: Mapping[str, Callable[[ReferenceFile], str]] = {"data-uri": data_uri, "base64": base64_of}


class JimmyaiDialect:
    """The wire format: what is sent, and what the answers mean."""

    def __init__(self, encode: Callable[[ReferenceFile], str] = data_uri) -> None:
        self._encode = encode

    def submit_call(self, request: Request) -> Call:
        """`POST /api/open-api/v1/images`. References without a URL stand in the body, as base64."""
        body: dict[str, Json] = dict(request.params)
        body |= {"model": request.model, "prompt": request.prompt}
        images: list[Json] = [each.url or self._encode(each) for each in request.references]
        optional: dict[str, Json] = {
            "ratio": request.ratio,
            "resolution": request.resolution,
            "quality": request.quality,
            "images": images or None,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        return Call("POST", _TASKS, body)

    def poll_path(self, task_id: str) -> str:
        """`GET /api/open-api/v1/images/{task_id}`."""
        return f"{_TASKS}/{task_id}"

    def parse(self, answer: Json, asked: str | None) -> Pending | Finished | ProviderFailure:
        """A task as `data` in an envelope `{code, msg, data}`, or without one; or an error body."""
        top = members(answer)
        # "20000" in one place of the documentation, 20000 in another.
        if text_of(top.get("code")) not in _SUCCESS:
            return business_error(answer, asked)
        task = members(top["data"]) if isinstance(top.get("data"), dict) else top
        task_id = _first(task, _TASK_IDS)
        if "status" not in task and task_id is None:
            if task.get("error"):
                return business_error(answer, asked)
            return unreadable("the service's answer holds no task", asked)
        result = task.get("result")
        shapes = (members(result), task)
        return outcome(
            TaskAnswer(
                task_id=task_id,
                status=task.get("status"),
                urls=urls_of(*(shape.get(name) for shape in shapes for name in _LINKS), result),
                error=_first(task, _ERRORS),
                progress=task.get("progress"),
                usage=members(task.get("usage")),
            ),
            asked,
        )


class JimmyaiType:
    """The provider type `jimmyai`. It publishes no prices."""

    name = "jimmyai"
    default_base_url: str | None = "https://www.jimmyai.cn"
    needs_key = True
    local = False
    engine: str | None = None

    def __init__(self, encode: Callable[[ReferenceFile], str] = data_uri) -> None:
        self.encode = encode

    def configured(self, options: Mapping[str, Json]) -> JimmyaiType:
        """The type with `options: {reference_encoding: data-uri | base64}`.

        The service takes "base64 strings" without saying whether a `data:` prefix belongs to them. Raises
        ValueError for any other option.
        """
        own = members(options.get("options"))
        for name in own:
            if name != _ENCODING:
                hint = did_you_mean(name, [_ENCODING]) or f"known: {_ENCODING}"
                raise ValueError(f'{self.name} has no option "{name}"; {hint}')
        encoding = own.get(_ENCODING, "data-uri")
        if not isinstance(encoding, str) or encoding not in _ENCODINGS:
            raise ValueError(f"{_ENCODING} is one of {', '.join(_ENCODINGS)}")
        return JimmyaiType(_ENCODINGS[encoding])

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for."""
        return models().get(model or "") or UnknownModel(model, self.known_models())

    def known_models(self) -> tuple[str, ...]:
        """The documented models."""
        return tuple(models())

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it."""
        from imgbuild.providers.tasks import connect_tasks

        return connect_tasks(settings, JimmyaiDialect(self.encode), self.default_base_url)


def _first(task: Mapping[str, Json], names: tuple[str, ...]) -> Json:
    """The first member that says something."""
    return next((task[name] for name in names if task.get(name) not in (None, "")), None)


TYPE = JimmyaiType()
