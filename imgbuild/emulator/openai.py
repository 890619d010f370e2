"""The dialect `openai`: /v1/images/generations and /v1/images/edits, as strict as OpenAI's reference."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgbuild.core.image import Json, Size
from imgbuild.emulator.faults import Problem
from imgbuild.emulator.images_api import (
    AUTO_PIXELS,
    Fields,
    answer_object,
    check_background,
    check_uploads,
    grid_size,
    image_items,
    one_of_three,
    read_size,
)
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.rate import RateLimit
from imgbuild.emulator.service import Service
from imgbuild.emulator.submissions import Refused, checked, read_object
from imgbuild.emulator.synchronous import answer_at_once
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.uploads import is_form, read_form

ON_GRID = frozenset(
    {
        "gpt-image-2",
        "gpt-image-2-2026-04-21",
        "gpt-image-2.5-sunburst",
        "gpt-image-2.5-sunburst-2026-09-08",
        "gpt-image-2.5-flare",
        "gpt-image-2.5-flare-2026-09-08",
        "gpt-image-2.6-sunburst",
        "gpt-image-2.6-flare",
    }
)
OF_THREE_SIZES = frozenset({"gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest"})
RETIRED = frozenset({"dall-e-2", "dall-e-3", "gpt-image-1"})

_BEST = re.compile(r"gpt-image-2\.[56]-")
"""The models with the qualities xhigh and max."""
_UPLOADS = {"image": 50 * 10**6, "image[]": 50 * 10**6, "mask": 4 * 10**6}
_REFERENCES = frozenset({"image", "image[]"})
_INTEGERS = frozenset({"n", "output_compression"})

_SAFETY = (
    "Your request was rejected by the safety system. If you believe this is an error, contact us at "
    "help.openai.com and include the request ID req_0123456789. safety_violations=[violence]."
)


class Common(Fields):
    """What both routes take, apart from the previews of other formats, and of streams."""

    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    complexity: Literal["low", "medium", "high"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    stream: Literal[False] | None = None


class Generation(Common):
    """The fields of /images/generations."""

    moderation: Literal["auto", "low"] | None = None


class Edit(Common):
    """The fields of /images/edits, apart from its files."""

    input_fidelity: Literal["low", "high"] | None = None


def read_order(asked: Common, references: tuple[str, ...], options: EmulatorOptions) -> Order:
    """Check what a request asks for. Raises Refused."""
    model = asked.model or ""
    if not options.any_model and model not in ON_GRID | OF_THREE_SIZES:
        retired = "has been retired" if model in RETIRED else "does not exist"
        raise Refused(f"model: The model '{model}' {retired}.", "model_not_found")
    best = options.any_model or _BEST.match(model)
    allowed = ("auto", "low", "medium", "high", *(("xhigh", "max") if best else ()))
    if asked.quality is not None and asked.quality not in allowed and not options.any_model:
        supported = ", ".join(allowed)
        raise Refused(f"quality: Invalid value: '{asked.quality}'. Supported values are: {supported}.")
    if asked.n is not None and not 1 <= asked.n <= 10:
        raise Refused("n: must be between 1 and 10.")
    check_background(asked)
    if asked.output_compression not in (None, 100) and asked.output_format in (None, "png"):
        raise Refused("output_compression: is only supported for webp and jpeg.")
    fidelity = asked.input_fidelity if isinstance(asked, Edit) else None
    if fidelity is not None and (model, fidelity) not in (
        ("gpt-image-1.5", "low"),
        ("gpt-image-1.5", "high"),
        ("gpt-image-1-mini", "low"),
    ):
        raise Refused(f"input_fidelity: '{fidelity}' is not supported by {model}.")
    return Order(
        dialect="openai",
        model=model,
        prompt=asked.prompt,
        pixels=_pixels(asked.size or "auto", model, options),
        format=asked.output_format or "png",
        size=asked.size or "auto",
        quality=asked.quality or "auto",
        n=asked.n or 1,
        references=references,
    )


def _pixels(size: str, model: str, options: EmulatorOptions) -> Size:
    if size == "auto":
        return AUTO_PIXELS
    if options.any_model:
        return Size(*read_size(size))
    return grid_size(size) if model in ON_GRID else one_of_three(size)


def error_response(problem: Problem, headers: Mapping[str, str]) -> Response:
    """An error in OpenAI's shape, with OpenAI's codes for what every service knows."""
    status, code, message = problem.status, problem.code, problem.message
    kind = "invalid_request_error" if status < 500 else "server_error"
    param: Json = None
    if code == "content_policy_violation":
        kind, code, message = "image_generation_user_error", "moderation_blocked", _SAFETY
    elif status == HTTPStatus.PAYMENT_REQUIRED:
        status, kind, code = HTTPStatus.TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota"
        message = "You exceeded your current quota, please check your plan and billing details."
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "requests"
    elif code == "invalid_request":
        name, colon, rest = message.partition(": ")
        param, message, code = (name, rest, "invalid_value") if colon else (None, message, code)
        if rest == "Extra inputs are not permitted":
            message, code = f"Unknown parameter: '{name}'.", "unknown_parameter"
    error: Json = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status, headers={**problem.headers, **headers})


def routes(service: Service) -> list[Route]:
    """The dialect's two routes."""
    options = service.options
    rate = RateLimit(options.rate_limit, options.rate_window)
    no_key = Problem(HTTPStatus.UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided.")

    def error(problem: Problem) -> Response:
        return error_response(problem, rate.headers(service.now()))

    def route(path: str, read: Callable[[Request], Awaitable[tuple[Common, Order]]]) -> Route:
        async def respond(request: Request) -> Response:
            service.ledger.count(f"POST {path}")
            if service.lacks_key(request):
                return error(no_key)
            if not rate.take(service.now()):
                wait = rate.patience(service.now())
                busy = HTTPStatus.TOO_MANY_REQUESTS
                return error(Problem(busy, "rate_limit_exceeded", "Rate limit reached.", wait))
            try:
                asked, order = await read(request)
            except Refused as refused:
                return error(refused.problem)

            def answer(task: Task, pictures: list[bytes]) -> Response:
                links = service.result_urls(task, request)
                items = image_items(task, pictures, links, options.images_answer)
                body = answer_object(task, items, asked.background or "opaque")
                return JSONResponse(body, headers=rate.headers(service.now()))

            return await answer_at_once(service, order, error, answer)

        return Route(path, respond, methods=["POST"])

    async def generation(request: Request) -> tuple[Common, Order]:
        asked = checked(Generation, await read_object(request))
        return asked, read_order(asked, (), options)

    async def edit(request: Request) -> tuple[Common, Order]:
        if not is_form(request):
            raise Refused("the body must be multipart/form-data")
        form = await read_form(request, _UPLOADS, _INTEGERS)
        asked = checked(Edit, form.fields)
        return asked, read_order(asked, check_uploads(form.uploads, _REFERENCES), options)

    return [route("/v1/images/generations", generation), route("/v1/images/edits", edit)]
