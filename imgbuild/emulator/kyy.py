"""The dialect `kyy`: asynchronous tasks at /v1/image2/images and /v1/banana/images, strict and flat."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgbuild.core.image import Json, Size
from imgbuild.emulator.faults import Problem
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.service import Service
from imgbuild.emulator.submissions import Prompt, Refused, Url, checked, read_object
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.upstream_pixels import pixels

PREFIXES = ("/kyyReactApiServer", "")
"""Where the routes are: as at the service itself, and as at those that sell it on."""
WIDE_AT_4K = frozenset({"16:9", "9:16", "2:1", "1:2", "21:9", "9:21"})
MAX_URLS = {"gpt-image-2": 6, "gpt-image-2-r": 16}
"""The models of the first route, with the number of references that they take."""
BANANA_MODELS = (
    "nano-banana",
    "nano-banana-2",
    "nano-banana-pro",
    "nano-banana-2-stable",
    "nano-banana-pro-stable",
)
_LARGEST_1K = 1536 * 1024
"""Pixels of the largest shape that is called 1k."""
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)

Resolution = Literal["1k", "2k", "4k"]
ReadOrder = Callable[[Mapping[str, object], EmulatorOptions], Order]
Endpoint = Callable[[Request], Awaitable[Response]]


class ImageSubmission(BaseModel):
    """The fields of POST /v1/image2/images."""

    model_config = _STRICT

    model: str
    prompt: Prompt
    quality: Literal["low", "medium", "high"] | None = None
    ratio: (
        Literal["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "5:4", "4:5", "2:1", "1:2", "21:9", "9:21"]
        | None
    ) = None
    resolution: Resolution | None = None
    size: (
        Literal["1024x1024", "1536x1024", "1024x1536", "2048x2048", "2048x1152", "3840x2160", "2160x3840"]
        | None
    ) = None
    image_urls: list[Url] = []


class BananaSubmission(BaseModel):
    """The fields of POST /v1/banana/images, where `size` is a ratio."""

    model_config = _STRICT

    model: str
    prompt: Prompt
    size: Literal["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"] | None = None
    resolution: Resolution | None = None
    image_urls: Annotated[list[Url], Field(max_length=6)] = []


def read_image_order(fields: Mapping[str, object], options: EmulatorOptions) -> Order:
    """Check a submission to the first route. Where it has a size, ratio and resolution are ignored: so the
    document says. Raises Refused.
    """
    asked = checked(ImageSubmission, fields)
    limit = MAX_URLS.get(asked.model)
    if limit is None:
        raise Refused(f"model {asked.model} does not exist", "model_not_found")
    if len(asked.image_urls) > limit:
        raise Refused(f"image_urls: {asked.model} takes {limit} at most")
    ratio = asked.ratio or "1:1"
    if asked.size is not None:
        width, height = map(int, asked.size.split("x"))
        shape = str(asked.size)
        drawn = Size(width, height)
    else:
        if asked.resolution is not None and asked.ratio is None:
            raise Refused("ratio: required when using resolution")
        if asked.resolution == "4k" and options.kyy_4k_ratios == "wide" and ratio not in WIDE_AT_4K:
            raise Refused(f"ratio: {ratio} is not supported at 4k")
        shape = " ".join(filter(None, (ratio, asked.resolution)))
        drawn = pixels("gpt-image-2", ratio, asked.resolution or "1k")
    if asked.model == "gpt-image-2-r" and (
        asked.resolution not in (None, "1k") or drawn.pixels > _LARGEST_1K
    ):
        raise Refused("resolution: gpt-image-2-r supports 1k at most")
    return Order(
        dialect="kyy",
        model=asked.model,
        prompt=asked.prompt,
        pixels=drawn,
        format="png",
        size=shape,
        # The other model is billed by resolution and takes no notice of a quality.
        quality=(asked.quality or "low") if asked.model == "gpt-image-2" else None,
        references=tuple(asked.image_urls),
    )


def read_banana_order(fields: Mapping[str, object], options: EmulatorOptions) -> Order:
    """Check a submission to the second route. Only the pro models give more than 1k. Raises Refused."""
    asked = checked(BananaSubmission, fields)
    if asked.model not in BANANA_MODELS:
        raise Refused(f"model {asked.model} does not exist", "model_not_found")
    resolution = (asked.resolution or "1k") if "-pro" in asked.model else "1k"
    ratio = asked.size or "1:1"
    return Order(
        dialect="kyy",
        model=asked.model,
        prompt=asked.prompt,
        pixels=pixels(asked.model, ratio, resolution),
        format="png",
        size=" ".join(filter(None, (ratio, asked.resolution))),
        references=tuple(asked.image_urls),
    )


def task_object(task: Task, urls: list[str], now: float, options: EmulatorOptions) -> dict[str, Json]:
    """A task as a query tells of it, at the time `now`."""
    state = task.shown_state(now)
    error: Json = None
    failure = task.failure()
    if state == "failed" and failure:
        code, message = failure
        error = {"code": code, "message": message} if options.task_error == "object" else message
    return {
        **_heading(task, now),
        "object": "image.generation",
        "status": "completed" if state == "succeeded" else state,
        "image_url": urls[0] if state == "succeeded" else None,
        "error": error,
    }


def accepted(task: Task, now: float) -> dict[str, Json]:
    """A task as the answer to its submission tells of it: queued, whatever its state."""
    return {**_heading(task, now), "object": "image", "status": "queued", "error": None}


def error_response(problem: Problem, options: EmulatorOptions) -> Response:
    """A refusal, in the shape that the options choose."""
    error: Json = problem.message
    if options.error_shape == "openai":
        kind = "invalid_request_error" if problem.status < 500 else "server_error"
        error = {"message": problem.message, "type": kind, "param": None, "code": problem.code}
    status = HTTPStatus.OK if options.errors_under_200 and problem.status < 500 else problem.status
    return JSONResponse({"error": error}, status, headers=problem.headers)


def routes(service: Service) -> list[Route]:
    """The dialect's three routes, under each prefix."""
    options = service.options

    def error(problem: Problem) -> Response:
        return error_response(problem, options)

    no_key = Problem(HTTPStatus.UNAUTHORIZED, "invalid_api_key", "Invalid API key.")

    def submit_to(path: str, read_order: ReadOrder) -> Endpoint:
        async def submit(request: Request) -> Response:
            service.ledger.count(f"POST {path}")
            if service.lacks_key(request):
                return error(no_key)
            try:
                order = read_order(await read_object(request), options)
            except Refused as refused:
                return error(refused.problem)
            return service.submit(order, error, lambda task: JSONResponse(accepted(task, service.now())))

        return submit

    async def query(request: Request) -> Response:
        service.ledger.count("GET /v1/result/{id}")
        if service.lacks_key(request):
            return error(no_key)

        def shown(task: Task) -> Response:
            urls = service.result_urls(task, request)
            return JSONResponse(task_object(task, urls, service.now(), options))

        return service.query(request.path_params["id"], error, shown)

    submissions = {"/v1/image2/images": read_image_order, "/v1/banana/images": read_banana_order}
    return [
        route
        for prefix in PREFIXES
        for route in (
            *(
                Route(prefix + path, submit_to(path, read_order), methods=["POST"])
                for path, read_order in submissions.items()
            ),
            Route(prefix + "/v1/result/{id}", query, methods=["GET"]),
        )
    ]


def _heading(task: Task, now: float) -> dict[str, Json]:
    created = round(time.time() - (now - task.started))
    return {"id": task.id, "created": created, "model": task.order.model}
