"""The dialect `jimmyai-sync`: OpenAI's fields under /api/open-api/v1/images, answered in an envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgbuild.core.image import Json
from imgbuild.emulator.faults import Problem
from imgbuild.emulator.images_api import (
    Fields,
    answer_object,
    check_background,
    check_uploads,
    grid_size,
    image_items,
    one_of_three,
)
from imgbuild.emulator.jimmyai import error_response
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.service import Service
from imgbuild.emulator.submissions import Refused, checked, read_object
from imgbuild.emulator.synchronous import answer_at_once
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.uploads import is_form, read_form

PATH = "/api/open-api/v1/images"
_MODEL = "gpt-image-2"
_UPLOADS = {"image": 20 * 10**6, "mask": 20 * 10**6}


def read_order(asked: Fields, references: tuple[str, ...], options: EmulatorOptions) -> Order:
    """Check what a request asks for. Raises Refused."""
    model = asked.model or _MODEL
    if model != _MODEL:
        raise Refused(f"model {model} does not exist", "model_not_found")
    if asked.n not in (None, 1):
        raise Refused("n: the maximum is 1")
    if asked.quality not in (None, "low", "medium", "high", "auto"):
        raise Refused("quality: must be low, medium, high or auto")
    check_background(asked)
    size = asked.size or "1024x1024"
    read = grid_size if options.jimmyai_sync_sizes == "grid" else one_of_three
    return Order(
        dialect="jimmyai-sync",
        model=model,
        prompt=asked.prompt,
        pixels=read(size),
        format=asked.output_format or "png",
        size=size,
        quality=asked.quality or "low",
        references=references,
    )


def routes(service: Service) -> list[Route]:
    """The dialect's two routes."""
    options = service.options
    no_key = Problem(HTTPStatus.UNAUTHORIZED, "invalid_api_key", "Invalid API key.")

    def error(problem: Problem) -> Response:
        return error_response(problem, options)

    def route(path: str, read: Callable[[Request], Awaitable[tuple[Fields, tuple[str, ...]]]]) -> Route:
        async def respond(request: Request) -> Response:
            service.ledger.count(f"POST {path}")
            if service.lacks_key(request):
                return error(no_key)
            try:
                asked, references = await read(request)
                order = read_order(asked, references, options)
            except Refused as refused:
                return error(refused.problem)

            def answer(task: Task, pictures: list[bytes]) -> Response:
                links = service.result_urls(task, request)
                items = image_items(task, pictures, links, options.images_answer)
                data = answer_object(task, items, asked.background or "auto") | {"model": order.model}
                code: Json = 20000 if options.jimmyai_sync_code == "integer" else "20000"
                return JSONResponse({"code": code, "msg": "ok", "data": data})

            return await answer_at_once(service, order, error, answer)

        return Route(path, respond, methods=["POST"])

    async def generation(request: Request) -> tuple[Fields, tuple[str, ...]]:
        return checked(Fields, await read_object(request)), ()

    async def edit(request: Request) -> tuple[Fields, tuple[str, ...]]:
        if not is_form(request):
            raise Refused("the body must be multipart/form-data")
        form = await read_form(request, _UPLOADS, frozenset({"n"}))
        return checked(Fields, form.fields), check_uploads(form.uploads, frozenset({"image"}))

    return [route(f"{PATH}/generations", generation), route(f"{PATH}/edits", edit)]
