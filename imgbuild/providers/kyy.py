"""The `kyy` dialect: asynchronous image tasks of KYY, for gpt-image-2 and (on another route) nano-banana."""

from __future__ import annotations

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.answers import TaskAnswer, business_error, members, outcome, unreadable, urls_of
from imgbuild.providers.base import Finished, Pending, Provider, ProviderSettings, Request
from imgbuild.providers.calls import Call
from imgbuild.providers.kyy_models import BANANA_ROUTE, DEFAULT_RATIO, models, route

_RESULTS = "/v1/result"


class KyyDialect:
    """The wire format: what is sent, and what the answers mean."""

    def submit_call(self, request: Request) -> Call:
        """`POST /v1/image2/images` or `/v1/banana/images`: the field `size` means another thing on each.

        Raises ProviderFailure for a reference without a URL: the service takes nothing else.
        """
        path = route(request.model)
        body: dict[str, Json] = dict(request.params)
        body |= {"model": request.model, "prompt": request.prompt}
        optional: dict[str, Json] = {"quality": request.quality, "resolution": request.resolution}
        if path == BANANA_ROUTE:
            optional["size"] = request.ratio
        elif request.size is not None:
            # Beside a size the service ignores both without a word.
            optional |= {"size": str(request.size), "resolution": None}
        else:
            # A resolution must not come without a ratio, although the ratio has a default.
            optional["ratio"] = request.ratio or (DEFAULT_RATIO if request.resolution else None)
        urls: list[Json] = [reference.url for reference in request.references]
        if None in urls:
            raise ProviderFailure(
                FailureKind.INVALID,
                "references can be sent as URLs only",
                remedy="put them on the web and give their URLs",
            )
        optional["image_urls"] = urls or None
        body |= {name: value for name, value in optional.items() if value is not None}
        return Call("POST", path, body)

    def poll_path(self, task_id: str) -> str:
        """`GET /v1/result/{id}`, for both routes."""
        return f"{_RESULTS}/{task_id}"

    def parse(self, answer: Json, asked: str | None) -> Pending | Finished | ProviderFailure:
        """A task, which stands flat in the answer; or an error body."""
        task = members(answer)
        if "status" not in task and "id" not in task:
            if any(task.get(name) for name in ("error", "message", "msg", "code")):
                return business_error(answer, asked)
            return unreadable("the service's answer holds no task", asked)
        return outcome(
            TaskAnswer(
                task_id=task.get("id"),
                status=task.get("status"),
                urls=urls_of(task.get("image_url"), task.get("image_urls")),
                error=task.get("error"),
                progress=task.get("progress"),
                usage=members(task.get("usage")),
            ),
            asked,
        )


class KyyType:
    """The provider type `kyy`. It publishes no prices."""

    name = "kyy"
    default_base_url: str | None = "https://zcbservice.aizfw.cn/kyyReactApiServer"
    needs_key = True
    local = False
    engine: str | None = None

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for."""
        return models().get(model or "") or UnknownModel(model, self.known_models())

    def known_models(self) -> tuple[str, ...]:
        """The documented models."""
        return tuple(models())

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it."""
        from imgbuild.providers.tasks import connect_tasks

        return connect_tasks(settings, KyyDialect(), self.default_base_url)


TYPE = KyyType()
