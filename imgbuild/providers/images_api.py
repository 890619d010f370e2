"""The words of OpenAI's Images API, which many services have made their own. Pure but for file sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import SizeGrid
from imgbuild.providers.answers import business_error, members, unreadable
from imgbuild.providers.base import Finished, ReferenceFile, Request, Result, UrlResult
from imgbuild.providers.calls import Call, FilePart

if TYPE_CHECKING:
    from imgbuild.providers.synchronous import Picture

GPT_IMAGE_GRID = SizeGrid(step=16, min_pixels=655_360, max_pixels=8_294_400, max_edge=3840, max_aspect=3.0)
"""What gpt-image-2 and its successors take as explicit size."""
FIELDS = (
    "model", "prompt", "n", "size", "quality", "background", "output_format", "image", "mask",
    # Their answers are event streams, which hold nothing that the plain answer does not.
    "stream", "partial_images",
)  # fmt: skip
"""What nobody can set under `params`."""


def images_call(
    request: Request, *, field: str, max_bytes: int, max_mask_bytes: int, path: str = "/images"
) -> Call:
    """A request in the words of the Images API. `field` is the name that references are uploaded under.

    Raises ProviderFailure for a file that is larger than the service takes (in bytes).
    """
    body: dict[str, Json] = dict(request.params)
    optional: dict[str, Json] = {
        "model": request.model,
        "prompt": request.prompt,
        "n": request.n if request.n > 1 else None,
        # The one ratio that a service of sizes is asked for.
        "size": str(request.size) if request.size else request.ratio,
        "quality": request.quality,
        "background": request.background,
        "output_format": request.format,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    files = [
        _part(field, f"reference-{number}", reference, max_bytes)
        for number, reference in enumerate(request.references, start=1)
    ]
    if request.mask is not None:
        files.append(_part("mask", "mask", request.mask, max_mask_bytes))
    return Call("POST", f"{path}/{'edits' if files else 'generations'}", body, tuple(files))


def images_answer(answer: Json, picture: Picture) -> Finished | ProviderFailure:
    """What an answer in the shape of the Images API says, without any envelope around it."""
    top = members(answer)
    items = top.get("data")
    if not isinstance(items, list):
        if top.get("error") or top.get("message") or top.get("detail"):
            return business_error(answer, None)
        return unreadable("the service's answer holds no pictures", None)
    results = tuple(_results(items, picture))
    if not results:
        if top.get("error"):
            return business_error(answer, None)
        return ProviderFailure(FailureKind.UNUSABLE, "the service answered without a picture")
    return Finished(results, usage=members(top.get("usage")))


def _results(items: list[Json], picture: Picture) -> Iterator[Result]:
    for item in items:
        encoded, link = members(item).get("b64_json"), members(item).get("url")
        if isinstance(encoded, str) and encoded:
            # Some gateways put a link there, too.
            is_link = encoded[:8].lower().startswith(("http://", "https://"))
            yield UrlResult(encoded) if is_link else picture(encoded)
        elif isinstance(link, str) and link:
            yield UrlResult(link)


def _part(field: str, name: str, reference: ReferenceFile, max_bytes: int) -> FilePart:
    try:
        size = reference.path.stat().st_size
    except OSError as error:
        raise ProviderFailure(
            FailureKind.INVALID,
            f"cannot read the {name}: {error.strerror or error}",
            remedy="build again",
        ) from error
    if size >= max_bytes:
        raise ProviderFailure(
            FailureKind.INVALID,
            f"the {name} has {size / 10**6:.1f} MB, and the service takes less than {max_bytes / 10**6:g} MB",
            remedy="make the file smaller",
        )
    extension = reference.media_type.rpartition("/")[2].partition("+")[0] or "bin"
    return FilePart(field, reference.path, f"{name}.{extension}", reference.media_type, reference.digest)
