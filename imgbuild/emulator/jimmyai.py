"""The dialect `jimmyai`: asynchronous tasks at /api/open-api/v1/images, as strict as its document allows."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Json
from imgbuild.core.sniff import HEAD_BYTES, TAIL_BYTES, sniff
from imgbuild.emulator.faults import Problem
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.service import Service
from imgbuild.emulator.submissions import Prompt, Refused, checked, read_object
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.upstream_pixels import pixels

PATH = "/api/open-api/v1/images"
MODELS = ("gpt-image-2", "nano-banana", "nano-banana-2", "nano-banana-pro")
WIDE_AT_4K = frozenset({"16:9", "9:16", "2:1", "1:2", "21:9", "9:21"})
"""The ratios that gpt-image-2 takes at 4k."""

_URL = re.compile(r"https?://[^\s/]+")
_DATA_URI = re.compile(r"data:image/([a-z]+);base64,")
_WORDS = {"succeeded": "completed"}
_FAQ_WORDS = {"queued": "submitted", "succeeded": "success"}


class Submission(BaseModel):
    """The fields that the document names."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str
    prompt: Prompt
    ratio: Literal[
        "auto", "1:1", "3:2", "2:3", "4:3", "3:4", "5:4", "4:5",
        "16:9", "9:16", "2:1", "1:2", "3:1", "1:3", "21:9", "9:21",
    ] = "auto"  # fmt: skip
    images: list[str] = []
    resolution: Literal["1k", "2k", "4k"] = "1k"
    quality: Literal["low", "medium", "high"] | None = None


def read_order(fields: Mapping[str, object], options: EmulatorOptions) -> Order:
    """Check a submission. Raises Refused."""
    asked = checked(Submission, fields)
    gpt = asked.model == MODELS[0]
    if asked.model not in MODELS:
        raise Refused(f"model {asked.model} does not exist", "model_not_found")
    if asked.quality is not None and not gpt:
        raise Refused(f"quality: {asked.model} does not support quality")
    if gpt and asked.resolution == "4k" and asked.ratio not in WIDE_AT_4K:
        raise Refused(f"ratio: gpt-image-2 does not support {asked.ratio} at 4k")
    if asked.model == "nano-banana" and asked.resolution != "1k":
        raise Refused(f"resolution: nano-banana does not support {asked.resolution}")
    return Order(
        dialect="jimmyai",
        model=asked.model,
        prompt=asked.prompt,
        pixels=pixels(asked.model, asked.ratio, asked.resolution),
        format="png",
        size=f"{asked.ratio} {asked.resolution}",
        quality=(asked.quality or "low") if gpt else None,
        references=tuple(_reference(text, options) for text in asked.images),
    )


def _reference(text: str, options: EmulatorOptions) -> str:
    """A reference as the bill names it: its URL, or the digest of its bytes."""
    if _URL.match(text):
        return text
    prefix = _DATA_URI.match(text)
    reading = options.jimmyai_references
    if reading == "data-uri" and prefix is None:
        raise Refused("images: neither a URL nor a data: URI")
    if reading == "base64" and prefix is not None:
        raise Refused("images: neither a URL nor base64")
    try:
        data = base64.b64decode(text[prefix.end() if prefix else 0 :], validate=True)
        facts = sniff(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))
    except ValueError as error:
        raise Refused("images: neither a URL nor base64") from error
    except BadImageError as error:
        raise Refused(f"images: {error.message}") from error
    if prefix is not None and prefix[1] != facts.format:
        raise Refused(f"images: a {facts.format} calls itself {prefix[1]}")
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def task_object(task: Task, urls: list[str], now: float, options: EmulatorOptions) -> dict[str, Json]:
    """A task as a query tells of it, at the time `now`."""
    state = task.shown_state(now)
    done = state == "succeeded"
    failure = task.failure() if state == "failed" else None
    error: Json = None
    if failure:
        code, message = failure
        error = {"code": code, "message": message} if options.task_error == "object" else message
    created = _created(task, now)
    progress = 0 if state in ("queued", "failed") else int(task.progress(now) * 100)
    if options.jimmyai_answers == "faq":
        return {
            "taskId": task.id,
            "status": _FAQ_WORDS.get(state, state),
            "progress": progress,
            "mediaUrl": [*urls] if done else [],
            "error_msg": error,
        }
    return {
        "task_id": task.id,
        "status": _WORDS.get(state, state),
        "progress": progress,
        "model": task.order.model,
        "created_at": created,
        "completed_at": created + int(task.seconds) if done else None,
        "result": {"image_url": urls[0] if done else None, "video_url": None},
        "error_message": error,
    }


def accepted(task: Task, now: float, options: EmulatorOptions) -> dict[str, Json]:
    """A task as the answer to its submission tells of it: without a result, even if it is finished."""
    if options.jimmyai_answers == "faq":
        return {"taskId": task.id, "status": "submitted"}
    return {
        "task_id": task.id,
        "status": "queued",
        "model": task.order.model,
        "created_at": _created(task, now),
    }


def enveloped(data: dict[str, Json], options: EmulatorOptions) -> dict[str, Json]:
    """An answer in the shape that the options choose."""
    if options.jimmyai_answers == "flat":
        return data
    code: Json = "20000" if options.jimmyai_answers == "reference" else 20000
    return {"code": code, "msg": "ok", "data": data}


def error_response(problem: Problem, options: EmulatorOptions) -> Response:
    """A refusal, in the shape that the options choose. A number stands for the problem's code."""
    body: dict[str, Json]
    if options.error_shape == "openai":
        kind = "invalid_request_error" if problem.status < 500 else "server_error"
        error: Json = {"message": problem.message, "type": kind, "param": None, "code": problem.code}
        body = {"error": error}
    else:
        number = "50000" if problem.status == HTTPStatus.OK else f"{problem.status:d}00"
        code: Json = number if options.jimmyai_answers == "reference" else int(number)
        body = {"code": code, "msg": problem.message, "data": None}
    status = HTTPStatus.OK if options.errors_under_200 and problem.status < 500 else problem.status
    return JSONResponse(body, status, headers=problem.headers)


def routes(service: Service) -> list[Route]:
    """The dialect's two routes."""
    options = service.options

    def error(problem: Problem) -> Response:
        return error_response(problem, options)

    def answer(data: dict[str, Json]) -> Response:
        return JSONResponse(enveloped(data, options))

    no_key = Problem(HTTPStatus.UNAUTHORIZED, "invalid_api_key", "Invalid API key.")

    async def submit(request: Request) -> Response:
        service.ledger.count(f"POST {PATH}")
        if service.lacks_key(request):
            return error(no_key)
        try:
            order = read_order(await read_object(request), options)
        except Refused as refused:
            return error(refused.problem)
        return service.submit(order, error, lambda task: answer(accepted(task, service.now(), options)))

    async def query(request: Request) -> Response:
        service.ledger.count(f"GET {PATH}/{{task_id}}")
        if service.lacks_key(request):
            return error(no_key)

        def shown(task: Task) -> Response:
            return answer(task_object(task, service.result_urls(task, request), service.now(), options))

        return service.query(request.path_params["task_id"], error, shown)

    return [
        Route(PATH, submit, methods=["POST"]),
        Route(f"{PATH}/{{task_id}}", query, methods=["GET"]),
    ]


def _created(task: Task, now: float) -> int:
    """When it was accepted: seconds since 1970."""
    return round(time.time() - (now - task.started))
