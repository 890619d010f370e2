"""`imgbuild show`: everything that is known about one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from imgbuild.core.credentials import Credentials
from imgbuild.core.events import ActionKind
from imgbuild.core.image import Image, Json
from imgbuild.core.plan.action import OutputPlan
from imgbuild.core.plan.geometry import describe as describe_geometry
from imgbuild.run.planning import plan_workspace
from imgbuild.run.workspace import Workspace

OutputState = Literal["up to date", "missing", "out of date", "changed by hand"]


@dataclass(frozen=True, slots=True)
class OutputDescription:
    """One output file: what the lock says of it, and how it stands."""

    path: str
    state: OutputState
    digest: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    credentials: Credentials | None = None
    """What the file that lies there is signed with."""


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """One image, as rendered, planned, recorded and locked."""

    id: str
    prompt: str
    provider: str
    negative_prompt: str | None = None
    model: str | None = None
    geometry: str | None = None
    """E.g. "generate 1360x768, crop to 1200x630"."""
    key: str | None = None
    """None while a reference is still to be generated."""
    take: int | None = None
    """The picked take, None while there is none."""
    takes: tuple[int, ...] = ()
    """The takes that the cache has."""
    source: Mapping[str, Json] | None = None
    outputs: tuple[OutputDescription, ...] = ()
    usage: Mapping[str, Json] = field(default_factory=dict)
    cost: float | None = None
    unit: str | None = None
    created: str | None = None
    references: tuple[str, ...] = ()
    adopted: bool = False
    """What is picked is a person's file, or was taken over from another key."""
    alt: str | None = None
    tags: tuple[str, ...] = ()


def describe(workspace: Workspace, image: Image) -> ImageDescription:
    """Look an image up in the plan, the lock and the cache."""
    plan = plan_workspace(workspace, [image.id])
    action = next(action for action in plan.actions if action.id == image.id)
    result = action.picked
    source = action.source
    return ImageDescription(
        id=image.id,
        prompt=image.prompt,
        provider=image.provider,
        negative_prompt=image.negative_prompt,
        model=image.model,
        geometry=describe_geometry(action.resolved.ask, image) if action.resolved else None,
        key=result.key if result else action.keys.current if action.keys else None,
        take=action.take if source else None,
        takes=workspace.cache.records.takes(result.key) if result else (),
        source={
            "digest": source.digest,
            "format": source.format,
            "width": source.width,
            "height": source.height,
        }
        if source
        else None,
        outputs=tuple(
            replace(describe_output(output), credentials=_credentials(workspace, output))
            for output in action.outputs
        ),
        usage=result.usage if result else {},
        cost=result.cost if result else None,
        unit=result.unit if result else None,
        created=result.created if result else None,
        adopted=bool(result and result.adopted),
        references=tuple(map(str, image.references)),
        alt=image.alt,
        tags=image.tags,
    )


def _credentials(workspace: Workspace, output: OutputPlan) -> Credentials | None:
    from imgbuild.images.read_credentials import read_credentials

    file = workspace.invocation.root / output.path
    return read_credentials(file) if output.found is not None and file.is_file() else None


def describe_output(output: OutputPlan) -> OutputDescription:
    """How an output file stands."""
    state: OutputState = "out of date"
    if output.kind is ActionKind.NONE:
        state = "up to date"
    elif output.kind is ActionKind.CONFLICT:
        state = "changed by hand"
    elif output.found is None:
        state = "missing"
    target = output.target
    if target is None:
        return OutputDescription(output.path, state)
    return OutputDescription(output.path, state, target.digest, target.width, target.height, target.bytes)
