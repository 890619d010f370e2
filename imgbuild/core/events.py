"""What a run tells the outside: frozen events, the source of schema/events.schema.json.

`--output-format json` prints one event a line, members in this order. The terminal shows the same
events in words; nothing else passes from a run to its display.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from imgbuild.core.errors import Position
from imgbuild.core.image import Json

FORMAT_VERSION = "1.0"


class ActionKind(StrEnum):
    """What a build does for one image. Later members outweigh earlier ones when outputs differ."""

    NONE = "none"
    RESTORE = "restore"
    DERIVE = "derive"
    GENERATE = "generate"
    CONFLICT = "conflict"
    REMOVE = "remove"


class Cause(StrEnum):
    """Why a field stands among the reasons; the display has the words for each."""

    NEW = "new"
    CHANGED = "changed"
    REFERENCE_PENDING = "reference pending"
    MORE_TAKES = "more takes"
    LOST = "lost"
    OUTPUT_MISSING = "output missing"
    OUTPUT_STALE = "output stale"
    OUTPUT_EDITED = "output edited"
    OUTPUT_MOVED = "output moved"
    UNLOCKED = "unlocked"
    DROPPED = "dropped"


class Status(StrEnum):
    """How an image came out of a build."""

    GENERATED = "generated"
    DERIVED = "derived"
    RESTORED = "restored"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    FAILED = "failed"


class JobState(StrEnum):
    """Where a running image is, for the progress display."""

    WAITING = "waiting"
    SUBMITTING = "submitting"
    RUNNING = "running"
    DOWNLOADING = "downloading"
    DERIVING = "deriving"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for an action: a field of the manifest, what it was and what it is now."""

    field: str
    old: Json
    new: Json
    cause: Cause = dataclasses.field(default=Cause.CHANGED, metadata={"internal": True})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an image failed. `kind` is a provider failure kind, or a kind of imgbuild's own."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class VersionEvent:
    """Always first: the format's version and the tool's."""

    imgbuild: str
    command: str
    format_version: str = FORMAT_VERSION
    event: Literal["version"] = "version"


@dataclass(frozen=True, slots=True)
class ActionEvent:
    """What is done for one image, and every reason. `cost` is an estimate in `unit`, null if unknown."""

    id: str
    action: ActionKind
    reasons: tuple[Reason, ...] = ()
    cost: float | None = 0.0
    unit: str | None = None
    notes: tuple[str, ...] = ()
    """E.g. "generate 1360x768, crop to 1200x630"."""
    outputs: tuple[str, ...] = ()
    event: Literal["action"] = "action"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A running image changed its state. `detail` is the service's own word, escaped."""

    id: str
    state: JobState
    provider: str
    take: int = 1
    detail: str | None = None
    progress: float | None = None
    """0 to 1, where the service tells."""
    event: Literal["job"] = "job"


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """An image is done. `outputs` are paths relative to the manifest's folder."""

    id: str
    status: Status
    outputs: tuple[str, ...] = ()
    error: Failure | None = None
    cost: float | None = dataclasses.field(default=None, metadata={"optional": True})
    at: Position | None = dataclasses.field(default=None, metadata={"internal": True})
    """Where the manifest declares it, for displays that point there."""
    event: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """Something to know that stops nothing."""

    message: str
    id: str | None = None
    event: Literal["warning"] = "warning"


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """Something that stops the run: a manifest error with its place, or another with a message alone."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = dataclasses.field(default=None, metadata={"optional": True})
    event: Literal["error"] = "error"


@dataclass(frozen=True, slots=True)
class StoppingEvent:
    """The user wants to end, and answers that are being paid for are still waited for."""

    waiting_for: tuple[str, ...]
    """The images."""
    seconds: float
    """At most so long: then the last of them has run into its timeout."""
    event: Literal["stopping"] = "stopping"


@dataclass(frozen=True, slots=True)
class SummaryEvent:
    """Always last, unless the manifest was wrong. A plan counts what a build would do."""

    generated: int = 0
    derived: int = 0
    restored: int = 0
    unchanged: int = 0
    conflicts: int = 0
    failed: int = 0
    submitted: int = 0
    resumed: int = 0
    cost: float = 0.0
    unit: str = "USD"
    seconds: float = 0.0
    event: Literal["summary"] = "summary"


@dataclass(frozen=True, slots=True)
class DataEvent:
    """An answer to a question (`list`, `show`, `cache stats` ...): one thing a line."""

    kind: str
    """What the value is about, e.g. "image", "provider", "cache"."""
    value: Mapping[str, Json]
    event: Literal["data"] = "data"


Event = (
    VersionEvent
    | ActionEvent
    | JobEvent
    | ImageEvent
    | WarningEvent
    | ErrorEvent
    | StoppingEvent
    | SummaryEvent
    | DataEvent
)
Emit = Callable[[Event], None]


def to_json(value: Any) -> Any:
    """An event as JSON members: "event" first, internal members left out, optional ones when unset."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if not hasattr(value, "__dataclass_fields__"):
        return value
    members: dict[str, Any] = {"event": value.event} if hasattr(value, "event") else {}
    for item in dataclasses.fields(value):
        member = getattr(value, item.name)
        if item.metadata.get("internal") or (item.metadata.get("optional") and member is None):
            continue
        members.setdefault(item.name, to_json(member))
    return members
