"""What the gallery knows: every image with its files, takes and state, as data for a page."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from imgbuild.core.events import ActionKind, Cause
from imgbuild.core.image import Image, Json, output_format
from imgbuild.core.plan.action import Action
from imgbuild.core.plan.geometry import describe as describe_geometry
from imgbuild.core.results import ADOPTED, StoredResult
from imgbuild.run.inspect import OutputDescription, describe_output
from imgbuild.run.planning import plan_workspace
from imgbuild.run.takes import results_of
from imgbuild.run.thumbnails import Thumbnails
from imgbuild.run.workspace import Workspace

_AXES = re.compile(r"(?:^|,)([^=,]+)=")
_SIDES = ((400, 384), (1200, 288), (4000, 224))
"""Up to so many pictures on a page, thumbnails of so many pixels; a page of thousands stays loadable."""
_LEAST_SIDE = 160
_DIGEST = 64
"""Characters; what else stands in place of one says why there is none."""
_STATES: Mapping[ActionKind, str] = {
    ActionKind.NONE: "up to date",
    ActionKind.GENERATE: "to generate",
    ActionKind.DERIVE: "out of date",
    ActionKind.RESTORE: "out of date",
    ActionKind.CONFLICT: "changed by hand",
}


@dataclass(frozen=True, slots=True)
class GalleryTake:
    """One candidate."""

    number: int
    picked: bool
    digest: str
    width: int
    height: int
    created: str
    adopted: bool
    provider: str
    model: str | None
    cost: float | None
    unit: str | None
    usage: Mapping[str, Json]
    lost: bool
    """The cache no longer has its bytes."""
    thumb: str | None = None


@dataclass(frozen=True, slots=True)
class GalleryOutput:
    """One output file. `href` leads there from the page, where the page lies in the project."""

    path: str
    state: str
    width: int | None
    height: int | None
    bytes: int | None
    href: str | None
    shown: bool
    """A browser can show it."""
    digest: str | None
    """Of the file as it lies there, where that is known."""


@dataclass(frozen=True, slots=True)
class GalleryImage:
    """One image. Everything that is a text comes from the manifest, and is shown as it is."""

    id: str
    name: str
    state: str
    prompt: str
    negative_prompt: str | None
    alt: str | None
    tags: Sequence[str]
    axes: Mapping[str, str]
    """Its place on the axes of its matrix."""
    spec: Mapping[str, str]
    """What else decides the picture, by the manifest's field names."""
    provider: str
    geometry: str | None
    note: str | None
    """Why it cannot be had, or what changed since it was accepted."""
    outputs: Sequence[GalleryOutput]
    takes: Sequence[GalleryTake]
    thumb: str | None = None


@dataclass(frozen=True, slots=True)
class Gallery:
    """A whole page."""

    project: str
    """The folder's own name."""
    profile: str | None
    images: Sequence[GalleryImage]
    notes: Mapping[str, str] = field(default_factory=dict)
    """What people noted on images, by id."""
    thumbs: Mapping[str, bytes] = field(default_factory=dict)
    """WebP pictures by digest."""

    def data(self, address: Callable[[str], str] | None = None) -> dict[str, Json]:
        """Plain JSON. Each picture is there once: as a `data:` address, or at the `address` of its digest."""
        plain: dict[str, Json] = asdict(replace(self, thumbs={}))
        thumbs = {
            digest: address(digest) if address else f"data:image/webp;base64,{b64encode(data).decode()}"
            for digest, data in self.thumbs.items()
        }
        return {**plain, "thumbs": {**thumbs}}


def make_gallery(workspace: Workspace, folder: Path, notes: Mapping[str, str]) -> Gallery:
    """Look everything up, and make the thumbnails. `folder` is where the page is going to lie.

    Raises:
        StorageError: a file or the cache cannot be read, or `.imgbuild/` cannot be written.
    """
    plan = plan_workspace(workspace)
    wanted: dict[str, Path] = {}
    with workspace.cache.at_one_moment():
        maker = _Maker(workspace, folder, wanted)
        images = [maker.image(action, action.image) for action in plan.actions if action.image is not None]
    thumbnails = Thumbnails(workspace.invocation.root, _side(len(wanted)))
    made = thumbnails.make(wanted)
    thumbnails.prune(wanted)
    root, profile = workspace.invocation.root, workspace.invocation.profile
    return Gallery(root.name, profile, images, notes, made)


def _side(count: int) -> int:
    return next((side for most, side in _SIDES if count <= most), _LEAST_SIDE)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the images of one gallery, and notes the files whose thumbnails it needs, by digest."""

    workspace: Workspace
    folder: Path
    wanted: dict[str, Path]

    def image(self, action: Action, image: Image) -> GalleryImage:
        picture = self._picture(action)
        # The only take of an image that is up to date looks like its file.
        takes = self._takes(action, picture if action.kind is ActionKind.NONE else None)
        outputs = [describe_output(output) for output in action.outputs]
        found = [output.found for output in action.outputs]
        return GalleryImage(
            id=image.id,
            name=image.name,
            state=_state(action, outputs),
            prompt=image.prompt,
            negative_prompt=image.negative_prompt,
            alt=image.alt,
            tags=image.tags,
            axes=_axes(image.id),
            spec=dict(_spec(image)),
            provider=image.provider,
            geometry=describe_geometry(action.resolved.ask, image) if action.resolved else None,
            note=_note(action),
            outputs=[self._output(*one) for one in zip(outputs, found, strict=True)],
            takes=takes,
            thumb=picture or next((take.thumb for take in takes if take.picked), None),
        )

    def _picture(self, action: Action) -> str | None:
        """The image as it is to be seen: its own file, else the bytes that it should have, or its master."""
        own = action.outputs[0]
        if own.found is not None and self._want(own.found, self.workspace.invocation.root / own.path):
            return own.found
        digests = (own.target.digest if own.target else None, action.source.digest if action.source else None)
        return next((digest for digest in digests if digest and self._want_blob(digest)), None)

    def _takes(self, action: Action, own: str | None) -> list[GalleryTake]:
        results = results_of(self.workspace, action)
        return [
            self._take(
                result,
                picked=number == action.take and action.source is not None,
                thumb=own if len(results) == 1 else None,
            )
            for number, result in results.items()
        ]

    def _take(self, result: StoredResult, *, picked: bool, thumb: str | None) -> GalleryTake:
        here = self.workspace.cache.blobs.has(result.digest)
        if thumb is None and self._want_blob(result.digest):
            thumb = result.digest
        return GalleryTake(
            number=result.take,
            picked=picked,
            digest=result.digest,
            width=result.width,
            height=result.height,
            created=result.created,
            adopted=result.adopted,
            provider="a file of your own" if result.provider == ADOPTED else result.provider,
            model=result.model,
            cost=result.cost,
            unit=result.unit,
            usage=result.usage,
            lost=not here,
            thumb=thumb,
        )

    def _output(self, output: OutputDescription, found: str | None) -> GalleryOutput:
        there = output.state != "missing" and "*" not in output.path
        return GalleryOutput(
            path=output.path,
            state=output.state,
            width=output.width,
            height=output.height,
            bytes=output.bytes,
            href=self._href(output.path) if there else None,
            shown=output_format(output.path) is not None,
            digest=found if found is not None and len(found) == _DIGEST else None,
        )

    def _href(self, path: str) -> str | None:
        """A link from the page to a file; none where it would tell where the project lies."""
        root = self.workspace.invocation.root
        if not self.folder.is_relative_to(root):
            return None
        return quote(os.path.relpath(root / path, self.folder).replace(os.sep, "/"))

    def _want(self, digest: str, file: Path) -> bool:
        if len(digest) != _DIGEST or file.is_symlink():
            return False
        self.wanted.setdefault(digest, file)
        return True

    def _want_blob(self, digest: str) -> bool:
        blobs = self.workspace.cache.blobs
        return blobs.has(digest) and self._want(digest, blobs.path(digest))


def _state(action: Action, outputs: Sequence[OutputDescription]) -> str:
    if action.blocked is not None:
        return "lost"
    if action.kind in (ActionKind.DERIVE, ActionKind.RESTORE):
        absent = any(output.state == "missing" for output in outputs)
        return "missing" if absent and action.source is not None else "out of date"
    return _STATES[action.kind]


def _note(action: Action) -> str | None:
    if action.blocked is not None or action.kind is not ActionKind.GENERATE:
        return action.blocked
    changed = dict.fromkeys(reason.field for reason in action.reasons if reason.cause is Cause.CHANGED)
    return f"changed: {', '.join(changed)}" if changed else None


def _axes(id: str) -> dict[str, str]:
    """The axes that an id names: `sprite[item=sword,tone=warm]`. A foreach item has none."""
    _, bracket, inside = id.removesuffix("]").partition("[")
    parts = _AXES.split(inside) if bracket and inside.partition("=")[1] else []
    return dict(zip(parts[1::2], parts[2::2], strict=False))


def _spec(image: Image) -> Iterable[tuple[str, str]]:
    names = ("model", "size", "ratio", "resolution", "quality", "background", "format", "seed", "alpha")
    for name in names:
        value = getattr(image, name)
        if value is not None:
            yield name, str(value)
    if image.references:
        yield "references", ", ".join(_reference(str(reference)) for reference in image.references)
    if image.mask is not None:
        yield "mask", _reference(str(image.mask))
    for name, value in image.params.items():
        yield f"params.{name}", value if isinstance(value, str) else str(value)


def _reference(text: str) -> str:
    """A reference to show: what follows an address's path may be a signature."""
    return re.sub(r"[?#].*", "", text, flags=re.DOTALL) if "://" in text else text
