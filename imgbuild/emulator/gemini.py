"""The dialect `gemini`: generateContent of the image models, in both spellings of its JSON."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imgbuild.core.image import Json
from imgbuild.emulator.faults import Problem
from imgbuild.emulator.gemini_models import MODELS
from imgbuild.emulator.ledger import Order
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.service import Service
from imgbuild.emulator.submissions import Refused, checked, read_object
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.wire import CutShort

VERSIONS = ("v1beta", "v1")
_METHOD = ":generateContent"
_STATUSES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
"""Google's own words for HTTP's numbers."""
_NO_KEY = Problem(
    HTTPStatus.FORBIDDEN,
    "no_key",
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API.",
)


class _Message(BaseModel):
    """A message of the API: each member is known in camelCase and in snake_case."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class InlineData(_Message):
    """A picture within the request."""

    mime_type: Literal["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"]
    data: Annotated[str, Field(min_length=4)]

    @field_validator("data")
    @classmethod
    def _is_base64(cls, data: str) -> str:
        b64decode(data, altchars=b"-_" if "-" in data or "_" in data else None, validate=True)
        return data

    def digest(self) -> str:
        """What stands in the ledger for it."""
        content = binascii.a2b_base64(self.data.translate(str.maketrans("-_", "+/")))
        return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Part(_Message):
    """Words or a picture."""

    text: str | None = None
    inline_data: InlineData | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Part:
        if (self.text is None) == (self.inline_data is None):
            raise ValueError("required oneof field 'data' must have one initialized field")
        return self


class Content(_Message):
    """What somebody says."""

    role: Literal["user", "model"] | None = None
    parts: Annotated[list[Part], Field(min_length=1)]


class ImageConfig(_Message):
    """The wanted shape."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class GenerationConfig(_Message):
    """How to generate. What has no meaning for pictures is taken, as the service does."""

    response_modalities: Annotated[list[str], Field(min_length=1)] | None = None
    image_config: ImageConfig | None = None
    candidate_count: Literal[1] | None = None
    temperature: float | int | None = None
    top_p: float | int | None = None
    top_k: float | int | None = None
    seed: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    media_resolution: str | None = None
    thinking_config: dict[str, object] | None = None

    @field_validator("response_modalities")
    @classmethod
    def _has_pictures(cls, names: list[str] | None) -> list[str] | None:
        known = {name.upper() for name in names or ["IMAGE"]}
        if not known <= {"TEXT", "IMAGE"} or "IMAGE" not in known:
            raise ValueError("the model gives IMAGE, or TEXT and IMAGE")
        return names


class GenerateContent(_Message):
    """The body of a request."""

    contents: Annotated[list[Content], Field(min_length=1)]
    generation_config: GenerationConfig | None = None
    safety_settings: list[dict[str, object]] | None = None
    system_instruction: Content | None = None
    tools: list[dict[str, object]] | None = None


def read_order(model: str, fields: Mapping[str, object], options: EmulatorOptions) -> Order:
    """Check a request for one picture. Raises Refused."""
    known = MODELS.get(model)
    if known is None:
        raise Refused(
            f"models/{model} is not found for API version v1beta, or is not supported for generateContent.",
            "not_found",
        )
    asked = checked(GenerateContent, fields)
    config = (asked.generation_config and asked.generation_config.image_config) or ImageConfig()
    ratio, image_size = config.aspect_ratio or "1:1", config.image_size or "1K"
    if ratio not in known.pixels:
        raise Refused(f"aspect_ratio: {model} supports {', '.join(known.pixels)}")
    if image_size not in known.tokens or (config.image_size is not None and not known.takes_size):
        sizes = ", ".join(known.tokens) if known.takes_size else "none"
        raise Refused(f"image_size: {model} supports {sizes}")
    parts = [part for content in asked.contents for part in content.parts]
    prompt = "\n".join(part.text for part in parts if part.text)
    if not prompt.strip():
        raise Refused("contents: there is no prompt")
    references = tuple(part.inline_data.digest() for part in parts if part.inline_data)
    if len(references) > known.references:
        raise Refused(f"contents: {model} takes {known.references} images at most")
    return Order(
        dialect="gemini",
        model=model,
        prompt=prompt,
        pixels=known.size(ratio, image_size),
        format=options.gemini_format,
        size=f"{ratio} {image_size}",
        task_type="image2image" if references else "text2image",
        references=references,
    )


def answer_of(task: Task, picture: bytes | None, options: EmulatorOptions) -> dict[str, Json]:
    """What is answered for a task: with its picture, or how the fault says that there is none."""
    tokens = MODELS[task.order.model].tokens[(task.order.size or "").partition(" ")[2]]
    answer: dict[str, Json] = {"modelVersion": task.order.model, "responseId": task.id}
    failure = task.failure()
    if failure is not None and task.struck_by("refuse") and options.gemini_refusal == "prompt":
        return {**answer, "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **_usage(task, 0)}
    candidate: dict[str, Json] = {"index": 0, "finishReason": "STOP"}
    if failure is None:
        format = task.order.format
        drawn: Json = {
            "inlineData": {"mimeType": f"image/{format}", "data": b64encode(picture or b"").decode()}
        }
        candidate["content"] = {"role": "model", "parts": [*_chatter(options), drawn]}
    elif task.struck_by("refuse") and options.gemini_refusal == "words":
        candidate["content"] = {"role": "model", "parts": [{"text": f"I cannot draw that. {failure[1]}"}]}
    else:
        candidate["finishReason"] = "IMAGE_SAFETY" if task.struck_by("refuse") else "IMAGE_OTHER"
        candidate["finishMessage"] = failure[1]
    return {**answer, "candidates": [candidate], **_usage(task, 0 if failure else tokens)}


def _chatter(options: EmulatorOptions) -> list[Json]:
    """What talkative models say before the picture: a draft among their thoughts, and words."""
    if not options.gemini_chatter:
        return []
    draft: Json = {"mimeType": "image/png", "data": b64encode(b"no picture, only a thought").decode()}
    return [
        {"text": "First I sketch it.", "thought": True},
        {"inlineData": draft, "thought": True},
        {"text": "Here it is.", "thoughtSignature": b64encode(bytes(200_000)).decode()},
    ]


def _usage(task: Task, tokens: int) -> dict[str, Json]:
    prompt = len(task.order.prompt) // 4 + 1 + 258 * len(task.order.references)
    usage: dict[str, Json] = {"promptTokenCount": prompt, "totalTokenCount": prompt + tokens}
    if tokens:
        usage["candidatesTokenCount"] = tokens
    return {"usageMetadata": usage}


def error_response(problem: Problem) -> Response:
    """A refusal in Google's shape, which says in its body how long to wait."""
    status, message = problem.status, problem.message
    details: list[Json] = []
    if problem.code == "invalid_api_key":
        status, message = 400, "API key not valid. Please pass a valid API key."
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"})
    elif problem.code == "not_found":
        status = 404
    elif "retry-after" in problem.headers:
        delay = f"{problem.headers['retry-after']}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    error: dict[str, Json] = {
        "code": status,
        "message": message,
        "status": _STATUSES.get(status, "FAILED_PRECONDITION"),
    }
    return JSONResponse({"error": error | ({"details": details} if details else {})}, status)


def routes(service: Service) -> list[Route]:
    """The dialect's method, under both versions of the API."""

    async def generate(request: Request) -> Response:
        service.ledger.count("POST /models/{model}:generateContent")
        key = request.headers.get("x-goog-api-key") or request.query_params.get("key") or ""
        if service.options.require_key and not key.strip():
            return error_response(_NO_KEY)
        model = request.path_params["call"].removesuffix(_METHOD)
        try:
            if not request.path_params["call"].endswith(_METHOD):
                raise Refused(f"there is no method {request.path_params['call']}", "not_found")
            order = read_order(model, await read_object(request), service.options)
        except Refused as refused:
            return error_response(refused.problem)
        task = service.accept(order, error_response)
        if isinstance(task, Response):
            return task
        await asyncio.sleep(task.seconds)
        picture = None if task.failure() else await service.picture(task, task.names()[0])
        shape = JSONResponse(answer_of(task, picture, service.options))
        if task.struck_by("truncated"):
            return CutShort(shape.body, media_type="application/json")
        return shape

    return [
        Route(f"/{version}/models/{{call}}", generate, methods=["POST"], name=f"gemini-{version}")
        for version in VERSIONS
    ]
