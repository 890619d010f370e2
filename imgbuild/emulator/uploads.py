"""Multipart forms with pictures, read and judged by their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from imgbuild.core.errors import BadImageError
from imgbuild.core.sniff import HEAD_BYTES, TAIL_BYTES, ImageFacts, sniff
from imgbuild.emulator.submissions import Refused


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture in a form."""

    field: str
    digest: str
    """As it stands on the bill: "sha256:..."."""
    facts: ImageFacts


@dataclass(frozen=True, slots=True)
class Form:
    """A form's texts by field, and its pictures in their order."""

    fields: Mapping[str, object]
    uploads: tuple[Upload, ...]


def is_form(request: Request) -> bool:
    """Whether the body says that it is a multipart form."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_form(request: Request, limits: Mapping[str, int], integers: frozenset[str]) -> Form:
    """A request's form. `limits` are the fields of pictures, with the bytes that each must stay below.

    Raises Refused.
    """
    fields: dict[str, object] = {}
    uploads: list[Upload] = []
    try:
        async with request.form(max_files=64, max_fields=64) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    uploads.append(await _upload(name, value, limits))
                elif name in fields:
                    raise Refused(f"{name}: given twice")
                else:
                    number = name in integers and value.isascii() and value.isdecimal()
                    fields[name] = int(value) if number else value
    except HTTPException as error:
        raise Refused(f"the form cannot be read: {error.detail}") from error
    return Form(fields, tuple(uploads))


async def _upload(name: str, file: UploadFile, limits: Mapping[str, int]) -> Upload:
    limit = limits.get(name)
    if limit is None:
        raise Refused(f"{name}: takes no file")
    data = await file.read(limit)
    if len(data) >= limit:
        raise Refused(f"{name}: the file is too large, it must be smaller than {limit / 10**6:g} MB")
    try:
        facts = sniff(data[:HEAD_BYTES], data[-TAIL_BYTES:], len(data))
    except BadImageError as error:
        raise Refused(f"{name}: {error.message}") from error
    if facts.format not in ("png", "jpeg", "webp"):
        raise Refused(f"{name}: the file is {facts.format}, and must be png, jpeg or webp")
    if file.content_type != f"image/{facts.format}":
        raise Refused(f"{name}: a {facts.format} calls itself {file.content_type}")
    return Upload(name, f"sha256:{hashlib.sha256(data).hexdigest()}", facts)
