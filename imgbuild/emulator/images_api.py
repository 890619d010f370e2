"""OpenAI's Images API as its reference states it: fields, sizes, and the shape of an answer."""

from __future__ import annotations

import base64
import re
import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from imgbuild.core.image import Json, Size
from imgbuild.emulator.submissions import Refused
from imgbuild.emulator.tasks import Task
from imgbuild.emulator.uploads import Upload

THREE_SIZES = frozenset({"1024x1024", "1536x1024", "1024x1536"})
AUTO_PIXELS = Size(1254, 1254)
"""What `size: auto` gives: on no grid, and nothing that anybody could have asked for."""

_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", re.ASCII)


class Fields(BaseModel):
    """The fields that generations and edits share."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prompt: Annotated[str, Field(pattern=r"\S", max_length=32_000)]
    model: str | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None


def grid_size(text: str) -> Size:
    """A size of gpt-image-2 and its successors. Raises Refused with the rule that it breaks."""
    width, height = read_size(text)
    if width % 16 or height % 16:
        raise Refused(f"size: Invalid size '{text}'. Width and height must both be divisible by 16.")
    if max(width, height) > 3840:
        raise Refused(f"size: Invalid size '{text}'. No edge may be longer than 3840 pixels.")
    if max(width, height) > 3 * min(width, height):
        raise Refused(f"size: Invalid size '{text}'. The aspect ratio must be between 1:3 and 3:1.")
    if not 655_360 <= width * height <= 8_294_400:
        raise Refused(f"size: Invalid size '{text}'. It must have 655360 to 8294400 pixels.")
    return Size(width, height)


def one_of_three(text: str) -> Size:
    """A size of the models before gpt-image-2. Raises Refused."""
    if text not in THREE_SIZES:
        raise Refused(f"size: Invalid value: '{text}'. Supported: {', '.join(sorted(THREE_SIZES))}.")
    return Size(*read_size(text))


def read_size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT. Raises Refused."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refused(f"size: Invalid value: '{text}'. Sizes are WIDTHxHEIGHT.")
    return int(match[1]), int(match[2])


def check_background(asked: Fields) -> None:
    """Raises Refused where a transparent background cannot be encoded."""
    if asked.background == "transparent" and asked.output_format == "jpeg":
        raise Refused("background: Transparent background is not supported for JPEG.")


def check_uploads(uploads: tuple[Upload, ...], names: frozenset[str]) -> tuple[str, ...]:
    """The digests of a form's pictures, for the bill; `names` are the references' fields. Raises Refused."""
    images = [upload for upload in uploads if upload.field in names]
    masks = [upload for upload in uploads if upload.field == "mask"]
    if not 1 <= len(images) <= 16:
        raise Refused(f"image: 1 to 16 images are taken, not {len(images)}")
    if len(masks) > 1:
        raise Refused("mask: given twice")
    for mask in masks:
        if mask.facts.format != "png" or not mask.facts.alpha:
            raise Refused("mask: must be a PNG with transparency")
        if (mask.facts.width, mask.facts.height) != (images[0].facts.width, images[0].facts.height):
            raise Refused("mask: must have the size of the first image")
    return tuple(upload.digest for upload in (*images, *masks))


def image_items(task: Task, pictures: list[bytes], links: list[str], shape: str) -> list[Json]:
    """The members of `data`, in one of the shapes of `EmulatorOptions.images_answer`."""
    if shape == "url":
        return [{"url": link} for link in links]
    prefix = f"data:image/{task.order.format};base64," if shape == "data-uri" else ""
    return [{"b64_json": prefix + base64.b64encode(picture).decode()} for picture in pictures]


def answer_object(task: Task, items: list[Json], background: str) -> dict[str, Json]:
    """A whole answer: the pictures, what they really are, and what they cost in tokens."""
    order = task.order
    text = len(order.prompt.split())
    drawn = order.n * (order.pixels.pixels // 750)
    seen = 300 * len(order.references)
    return {
        "created": int(time.time()),
        "background": background,
        "data": items,
        "output_format": order.format,
        "quality": order.quality,
        "size": str(order.pixels),
        "usage": {
            "input_tokens": text + seen,
            "input_tokens_details": {"image_tokens": seen, "text_tokens": text},
            "output_tokens": drawn,
            "output_tokens_details": {"image_tokens": drawn, "text_tokens": 0},
            "total_tokens": text + seen + drawn,
        },
    }
