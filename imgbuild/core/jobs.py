"""The life of a paid task, replayed from its journal.

    intent ──▶ submitted ──▶ ready ──▶ closed (stored)
      │ │       │    │ ▲
      │ │       │    ▼ │
      │ │       │  expired
      │ ▼       ▼
      │ unknown ─────────────────────▶ closed (forgotten, retried)
      ▼
    closed (failed, stored)

An intent is written before the request is sent. One without an answer means that the process was killed
in between: nobody can know whether the service accepted it, so it counts as *unknown* and is never sent
again without a word from the user. `ready` is written as soon as a result's bytes are safe, and holds all
that is needed to record them. A task that is over its deadline is `expired`, and still asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from imgbuild.core.errors import FailureKind
from imgbuild.core.image import Json

VERSION = 1
"""Of the journal's lines. A newer one is not understood, and so not touched."""

KILLED = "the build was stopped before the service answered"


class Stage(StrEnum):
    """Where an open job stands."""

    SUBMITTED = "submitted"
    """The service has it: it is asked for, and nothing is submitted."""
    EXPIRED = "expired"
    """Submitted, and it took longer than its deadline: it is asked for all the same."""
    READY = "ready"
    """The bytes of a result are in the cache."""
    UNKNOWN = "unknown"
    """It may have been charged."""


class End(StrEnum):
    """How a job came to its end."""

    STORED = "stored"
    FAILED = "failed"
    FORGOTTEN = "forgotten"
    RETRIED = "retried"


NOTHING_CHARGED = frozenset(
    {
        FailureKind.AUTH,
        FailureKind.CREDIT,
        FailureKind.RATE_LIMITED,
        FailureKind.TRANSIENT,
        FailureKind.INVALID,
    }
)
"""Failures of a submission after which the service certainly charged nothing."""
_OVER = frozenset({FailureKind.REFUSED, FailureKind.FAILED, FailureKind.INVALID})
_UNCLEAR = frozenset({FailureKind.AMBIGUOUS, FailureKind.UNUSABLE})


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A submission whose results are not all recorded."""

    id: str
    key: str
    takes: tuple[int, ...]
    stage: Stage
    provider: str
    """The provider's type."""
    origin: str
    """Where it was sent: scheme, host and port."""
    image_id: str
    project: str
    """The folder of the project that asked for it."""
    since: str
    """ISO 8601, UTC."""
    task_id: str | None = None
    cost: float | None = None
    unit: str | None = None
    reason: str | None = None
    """Why it is unknown."""
    draft: Mapping[str, Json] = field(default_factory=dict)
    """What a result's record says before there is a result: its spec, its price, its other keys."""
    ready: Mapping[int, Mapping[str, Json]] = field(default_factory=dict)
    """The whole records of the takes whose bytes are in the cache."""

    @property
    def can_be_asked_for(self) -> bool:
        """Whether the service knows it by a name that we know."""
        return self.task_id is not None and self.stage is not Stage.UNKNOWN


def intent(job: OpenJob) -> dict[str, Json]:
    """The journal's line before anything is sent."""
    return {
        "version": VERSION,
        "event": "intent",
        "job": job.id,
        "key": job.key,
        "takes": list(job.takes),
        "provider": job.provider,
        "origin": job.origin,
        "image": job.image_id,
        "project": job.project,
        "since": job.since,
        "cost": job.cost,
        "unit": job.unit,
        "draft": dict(job.draft),
    }


def submitted(job: str, task_id: str) -> dict[str, Json]:
    """The service accepted it under this id."""
    return {"version": VERSION, "event": "submitted", "job": job, "task": task_id}


def ready(job: str, take: int, result: Mapping[str, Json]) -> dict[str, Json]:
    """The bytes of a take are in the cache; `result` is the record that they are to have."""
    return {"version": VERSION, "event": "ready", "job": job, "take": take, "result": dict(result)}


def expired(job: str) -> dict[str, Json]:
    """It did not end within its deadline."""
    return {"version": VERSION, "event": "expired", "job": job}


def unknown(job: str, reason: str) -> dict[str, Json]:
    """Nobody knows whether it was charged, or what was charged cannot be used."""
    return {"version": VERSION, "event": "unknown", "job": job, "reason": reason}


def closed(job: str, how: End) -> dict[str, Json]:
    """It is over."""
    return {"version": VERSION, "event": "closed", "job": job, "how": how.value}


def after_submission(failure: FailureKind) -> Stage | End:
    """Where a failure of the submission itself leaves a job: unclear is never taken for over."""
    return Stage.UNKNOWN if failure in _UNCLEAR else End.FAILED


def after_acceptance(job: OpenJob, failure: FailureKind) -> Stage | End:
    """Where a failure leaves a job that the service has accepted."""
    if failure in _UNCLEAR:
        return Stage.UNKNOWN
    if failure in _OVER:
        return End.FAILED
    if job.task_id is None:
        # It was paid for, and there is no name to ask for it by.
        return Stage.UNKNOWN
    return Stage.EXPIRED if failure is FailureKind.EXPIRED else Stage.SUBMITTED


def replay(events: Iterable[Mapping[str, Json]]) -> tuple[OpenJob, ...]:
    """The jobs that are still open, oldest first.

    Raises:
        ValueError: an event that no version of this journal has, or one of a newer version.
    """
    jobs: dict[str, OpenJob] = {}
    for event in events:
        version, name = event.get("version"), event.get("job")
        if not isinstance(version, int) or version > VERSION:
            raise ValueError(f"version {version!r:.20} is newer than this imgbuild")
        if not isinstance(name, str):
            raise ValueError("a line without a job")
        known = jobs.get(name)
        match event:
            case {"event": "intent"}:
                jobs[name] = _from_intent(name, event)
            case {"event": "submitted", "task": str(task)}:
                if known:
                    jobs[name] = replace(known, stage=Stage.SUBMITTED, task_id=task, reason=None)
            case {"event": "ready", "take": int(take), "result": dict(result)}:
                if known:
                    jobs[name] = replace(known, stage=Stage.READY, ready={**known.ready, take: result})
            case {"event": "expired"}:
                if known and known.stage is Stage.SUBMITTED:
                    jobs[name] = replace(known, stage=Stage.EXPIRED)
            case {"event": "unknown", "reason": str(reason)}:
                if known:
                    jobs[name] = replace(known, stage=Stage.UNKNOWN, reason=reason)
            case {"event": "closed"}:
                jobs.pop(name, None)
            case _:
                raise ValueError(f"no such event: {event.get('event')!r:.40}")
    return tuple(jobs.values())


def _from_intent(name: str, event: Mapping[str, Json]) -> OpenJob:
    match event:
        case {
            "key": str(key),
            "takes": list(takes),
            "provider": str(provider),
            "origin": str(origin),
            "image": str(image_id),
            "project": str(project),
            "since": str(since),
            "cost": float() | int() | None as cost,
            "unit": str() | None as unit,
            "draft": dict(draft),
        }:
            numbers = tuple(take for take in takes if isinstance(take, int))
            try:
                price = None if cost is None else float(cost)
            except OverflowError:
                raise ValueError("a price that no number can hold") from None
            return OpenJob(
                name,
                key,
                numbers,
                Stage.UNKNOWN,
                provider,
                origin,
                image_id,
                project,
                since,
                cost=price,
                unit=unit,
                reason=KILLED,
                draft=draft,
            )
    raise ValueError("an incomplete intent")
