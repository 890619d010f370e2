"""The `http` type's requests: a description's blanks, filled with what one image asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from imgbuild.core.blanks import fill, names_in, without
from imgbuild.core.image import Json
from imgbuild.core.manifest.service_model import Poll, Submit
from imgbuild.core.plan.capabilities import Capabilities
from imgbuild.providers.base import ReferenceFile, Request
from imgbuild.providers.calls import Call, FilePart
from imgbuild.providers.inline import base64_of, data_uri

_UPLOADED = frozenset(
    {"references", "references_base64", "reference", "reference_base64", "mask", "mask_base64"}
)


def submit_call(submit: Submit, request: Request, able: Capabilities) -> Call:
    """The request that starts a generation. Raises ProviderFailure where a reference cannot be read.

    `able` is what the model can: where it gives one picture a request, nothing is said about `n`.
    """
    template = submit.template
    sources = {"references": request.references, "mask": (request.mask,) if request.mask else ()}
    files = [(name, sources[source]) for name, source in (submit.files or {}).items()]
    uploads = submit.form is not None or any(not file.url for _, group in files for file in group)
    parts: tuple[FilePart, ...] = ()
    if files and uploads:
        parts = tuple(_part(name, k, file) for name, group in files for k, file in enumerate(group, start=1))
        template = without(template, _UPLOADED)
    used = names_in(template)
    filled = fill(template, _values(request, submit, used, able))
    params = {name: value for name, value in request.params.items() if f"params.{name}" not in used}
    body = {**params, **(filled if isinstance(filled, dict) else {})}
    path = submit.path.replace("{model}", quote(request.model or "", safe="/-._~:"))
    headers = dict(submit.headers or {})
    return Call(submit.method, path, body, parts, headers, form=submit.form is not None)


def poll_call(poll: Poll, task_id: str) -> Call:
    """The request that asks for a task."""
    path = poll.path.replace("{id}", quote(task_id, safe=""))
    body = fill(poll.body, {"id": task_id}) if poll.body is not None else None
    return Call(poll.method, path, body if isinstance(body, dict) else None, headers=dict(poll.headers or {}))


def _values(request: Request, submit: Submit, used: frozenset[str], able: Capabilities) -> dict[str, Json]:
    """What stands in the blanks; only files that are used are read."""
    size = request.size
    # Some services take no resolution without a ratio: then they are told what they would assume anyway.
    ratio = request.ratio or (able.default_ratio if request.resolution else None)
    width, _, height = (ratio or "").partition(":")
    plain: dict[str, Json] = {
        "prompt": request.prompt,
        "model": request.model,
        "negative_prompt": request.negative_prompt,
        "size": str(size) if size else None,
        "width": size.width if size else None,
        "height": size.height if size else None,
        "ratio": ratio,
        "ratio_width": int(width) if height else None,
        "ratio_height": int(height) if height else None,
        "resolution": request.resolution,
        "quality": request.quality,
        "background": request.background,
        "format": request.format,
        "seed": request.seed,
        "n": request.n if able.max_n > 1 else None,
    }
    for name, words in (submit.values or {}).items():
        value = plain[name]
        plain[name] = words.get(value, value) if isinstance(value, str) else value
    plain |= {f"params.{name}": value for name, value in request.params.items()}
    return plain | {name: read(request) for name, read in _FILES.items() if name in used}


def _inline(encode: Callable[[ReferenceFile], str]) -> Mapping[str, Callable[[Request], Json]]:
    """A link where there is one, else the file itself: all references, the first one, and the mask."""

    def text(file: ReferenceFile) -> str:
        return file.url or encode(file)

    return {
        "references": lambda request: [text(file) for file in request.references] or None,
        "reference": lambda request: text(request.references[0]) if request.references else None,
        "mask": lambda request: text(request.mask) if request.mask else None,
    }


_FILES: Mapping[str, Callable[[Request], Json]] = {
    **_inline(data_uri),
    **{f"{name}_base64": read for name, read in _inline(base64_of).items()},
}


def _part(field: str, number: int, file: ReferenceFile) -> FilePart:
    extension = file.media_type.rpartition("/")[2].partition("+")[0] or "bin"
    return FilePart(field, file.path, f"{field}-{number}.{extension}", file.media_type, file.digest)
