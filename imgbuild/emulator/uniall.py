"""The dialect `uniall`: asynchronous tasks at /v1/images/tasks, as strict as its document allows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgbuild.core.image import Json, Size
from imgbuild.emulator.faults import Problem
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.service import Service
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.uniall_models import FORMATS, GPT_IMAGE_SIZES, nano_pixels

_MAX_UPLOAD = 50 * 2**20
"""Bytes of one uploaded reference. The document names no limit; this one keeps the emulator alive."""
_NATIVE = {"queued": "QUEUED", "processing": "IN_PROGRESS", "succeeded": "SUCCESS", "failed": "FAILURE"}

Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class Submission(BaseModel):
    """The fields that the document names. Like the gateway, it takes a null for an absent field."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: Annotated[str, Field(min_length=1)]
    prompt: Annotated[str, Field(pattern=r"\S")]
    task_type: Literal["text2image", "image2image"] | None = None
    image: Url | None = None
    images: Annotated[list[Url], Field(min_length=1)] | None = None
    size: str | None = None
    aspect_ratio: str | None = None
    quality: str | None = None
    n: int | None = None
    output_format: str | None = None
    response_format: Literal["url"] | None = None


class Refused(Exception):
    """A submission that breaks the document's rules, in words for its sender."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.problem = Problem(HTTPStatus.BAD_REQUEST, code, message)


def read_order(fields: Mapping[str, object], files: tuple[str, ...] = ()) -> Order:
    """Check a submission. `files` are the digests of uploaded references. Raises Refused."""
    try:
        asked = Submission.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if asked.model not in FORMATS:
        raise Refused(f"model {asked.model} does not exist", "model_not_found")
    format = asked.output_format or "png"
    if format not in FORMATS[asked.model]:
        raise Refused(f"output_format: {asked.model} supports {'/'.join(FORMATS[asked.model])}")
    if asked.image is not None and asked.images is not None:
        raise Refused("image, images: use image for one reference or images for several")
    references = files or tuple(asked.images or ()) or ((asked.image,) if asked.image else ())
    task_type = asked.task_type or ("image2image" if references else "text2image")
    if task_type == "image2image" and not references:
        raise Refused("image: image2image needs a reference image")
    ordered = _gpt_image(asked) if asked.model == "gpt-image-2" else _nano(asked)
    size, pixels, quality, n = ordered
    return Order(
        dialect="uniall",
        model=asked.model,
        prompt=asked.prompt,
        pixels=pixels,
        format=format,
        size=size,
        quality=quality,
        n=n,
        task_type=task_type,
        references=references,
    )


def _gpt_image(asked: Submission) -> tuple[str, Size, str, int]:
    if asked.aspect_ratio is not None:
        raise Refused("aspect_ratio: gpt-image-2 does not support aspect_ratio, use size")
    if asked.size is None:
        raise Refused("size: gpt-image-2 requires size")
    if asked.size not in GPT_IMAGE_SIZES:
        raise Refused(f"size: gpt-image-2 does not support {asked.size}")
    if asked.quality not in (None, "low", "medium", "high"):
        raise Refused("quality: gpt-image-2 supports low, medium and high")
    if asked.n is not None and not 1 <= asked.n <= 8:
        raise Refused("n: gpt-image-2 supports 1 to 8")
    width, height = asked.size.split("x")
    return asked.size, Size(int(width), int(height)), asked.quality or "medium", asked.n or 1


def _nano(asked: Submission) -> tuple[str, Size, None, int]:
    if asked.quality is not None:
        raise Refused(f"quality: {asked.model} has none, the resolution tier is in the model's name")
    if asked.n not in (None, 1):
        raise Refused(f"n: {asked.model} makes one image a task")
    ratio = asked.aspect_ratio or "1:1"
    pixels = nano_pixels(asked.model, ratio)
    if pixels is None:
        raise Refused(f"aspect_ratio: {asked.model} does not support {ratio}")
    return ratio, pixels, None, 1


def task_object(task: Task, urls: list[str], now: float, options: EmulatorOptions) -> dict[str, Json]:
    """A task as the service tells of it, at the time `now`."""
    state = task.shown_state(now)
    done = state == "succeeded"
    metadata: dict[str, Json] = {
        "task_type": task.order.task_type,
        "result_count": task.order.n if done else 0,
    }
    if done and task.order.n > 1:
        metadata["result_urls"] = [*urls]
    error: Json = None
    failure = task.failure()
    if state == "failed" and failure:
        code, message = failure
        error = {"code": code, "message": message} if options.task_error == "object" else message
    return {
        "task_id": task.id,
        "status": _NATIVE.get(state, state.upper()) if options.native_statuses else state,
        "progress": f"{int(task.progress(now) * 100)}%",
        "result_url": urls[0] if done else None,
        "metadata": metadata,
        "error": error,
    }


def error_response(problem: Problem, options: EmulatorOptions) -> Response:
    """A refusal, in the shape that the options choose."""
    body: dict[str, Json] = {"code": problem.code, "message": problem.message, "data": None}
    if options.error_shape == "openai":
        kind = "invalid_request_error" if problem.status < 500 else "server_error"
        error: Json = {"message": problem.message, "type": kind, "param": None, "code": problem.code}
        body = {"error": error}
    return JSONResponse(body, problem.status, headers=problem.headers)


async def _read_submission(request: Request) -> Order:
    """The order in a request's body. Raises Refused."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        try:
            async with request.form(max_files=64, max_fields=64) as form:
                return await _read_form(form)
        except HTTPException as error:
            raise Refused(f"the form cannot be read: {error.detail}") from error
    if media_type != "application/json":
        raise Refused("the body must be application/json or multipart/form-data")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Refused("the body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused("the body is not a JSON object")
    return read_order(body)


async def _read_form(form: FormData) -> Order:
    fields: dict[str, object] = {}
    files: list[str] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append(await _read_file(name, value))
        elif name in fields:
            raise Refused(f"{name}: given twice")
        else:
            fields[name] = int(value) if name == "n" and value.isascii() and value.isdecimal() else value
    if files and "image" in fields:
        raise Refused("image: pass either files or a URL")
    return read_order(fields, tuple(files))


async def _read_file(name: str, file: UploadFile) -> str:
    if name != "image":
        raise Refused(f"{name}: multipart passes files as image")
    data = await file.read(_MAX_UPLOAD + 1)
    if len(data) > _MAX_UPLOAD:
        raise Refused("image: the file is too large")
    if not _looks_like_image(data):
        raise Refused("image: the file is not a PNG, JPEG or WebP image")
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _looks_like_image(data: bytes) -> bool:
    riff = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    return riff or data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def routes(service: Service) -> list[Route]:
    """The dialect's two routes."""

    def error(problem: Problem) -> Response:
        return error_response(problem, service.options)

    def shown(task: Task, request: Request) -> dict[str, Json]:
        return task_object(task, service.result_urls(task, request), service.now(), service.options)

    def enveloped(data: dict[str, Json]) -> Response:
        return JSONResponse({"code": "success", "message": "", "data": data})

    no_key = Problem(HTTPStatus.UNAUTHORIZED, "invalid_api_key", "No API key was given.")

    async def submit(request: Request) -> Response:
        service.ledger.count("POST /v1/images/tasks")
        if service.lacks_key(request):
            return error(no_key)
        try:
            order = await _read_submission(request)
        except Refused as refused:
            return error(refused.problem)
        wrap = enveloped if service.options.submit_enveloped else JSONResponse
        return service.submit(order, error, lambda task: wrap(shown(task, request)))

    async def query(request: Request) -> Response:
        service.ledger.count("GET /v1/images/tasks/{task_id}")
        if service.lacks_key(request):
            return error(no_key)
        task_id = request.path_params["task_id"]
        return service.query(task_id, error, lambda task: enveloped(shown(task, request)))

    return [
        Route("/v1/images/tasks", submit, methods=["POST"]),
        Route("/v1/images/tasks/{task_id}", query, methods=["GET"]),
    ]
