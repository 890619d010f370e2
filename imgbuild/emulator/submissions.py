"""JSON submissions, read and held against a dialect's fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from imgbuild.emulator.faults import Problem

Prompt = Annotated[str, Field(pattern=r"\S")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
Fields = TypeVar("Fields", bound=BaseModel)


class Refused(Exception):
    """A submission that breaks the document's rules, in words for its sender."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.problem = Problem(HTTPStatus.BAD_REQUEST, code, message)


async def read_object(request: Request) -> dict[str, object]:
    """The JSON object in a request's body. Raises Refused."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refused("the body must be application/json")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Refused("the body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused("the body is not a JSON object")
    return body


def checked(model: type[Fields], fields: Mapping[str, object]) -> Fields:
    """The fields as the model has them. Raises Refused, which names the first that is wrong.

    A null is refused: None in a model means that a field is absent, and no document says that it may be null.
    """
    for name, value in fields.items():
        if value is None:
            raise Refused(f"{name}: null is no value")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Refused(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
