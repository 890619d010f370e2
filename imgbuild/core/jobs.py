"""The life of a paid task, replayed from its journal: intent, submitted, and then closed or unknown.

    intent ──▶ submitted ──▶ closed (stored, failed, forgotten, retried)
       │           │
       └───────────┴──▶ unknown ──▶ closed (forgotten, retried)

An intent is written before the request is sent. One without an answer means that the process was killed
in between: nobody can know whether the service accepted it, so it is *unknown* and is never sent again
without a word from the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from imgbuild.core.image import Json

KILLED = "the build was stopped before the service answered"


class Stage(StrEnum):
    """Where an open job stands."""

    SUBMITTED = "submitted"
    """The service has it: it is asked for, and nothing is submitted."""
    UNKNOWN = "unknown"
    """It may have been charged."""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A submission whose result is not in the cache."""

    id: str
    key: str
    takes: tuple[int, ...]
    stage: Stage
    provider: str
    """The provider's type."""
    origin: str
    """Where it was sent: scheme, host and port."""
    image_id: str
    since: str
    """ISO 8601, UTC."""
    task_id: str | None = None
    cost: float | None = None
    unit: str | None = None
    reason: str | None = None
    """Why it is unknown."""


def intent(job: OpenJob) -> dict[str, Json]:
    """The journal's line before anything is sent."""
    return {
        "event": "intent",
        "job": job.id,
        "key": job.key,
        "takes": list(job.takes),
        "provider": job.provider,
        "origin": job.origin,
        "image": job.image_id,
        "since": job.since,
        "cost": job.cost,
        "unit": job.unit,
    }


def submitted(job: str, task_id: str) -> dict[str, Json]:
    """The service accepted it under this id."""
    return {"event": "submitted", "job": job, "task": task_id}


def unknown(job: str, reason: str) -> dict[str, Json]:
    """Nobody knows whether it was charged, or what was charged cannot be used."""
    return {"event": "unknown", "job": job, "reason": reason}


def closed(job: str, how: str) -> dict[str, Json]:
    """It is over: stored, failed, forgotten or retried."""
    return {"event": "closed", "job": job, "how": how}


def replay(events: Iterable[Mapping[str, Json]]) -> tuple[OpenJob, ...]:
    """The jobs that are still open, oldest first. Lines that make no sense are passed over."""
    jobs: dict[str, OpenJob] = {}
    for event in events:
        name = event.get("job")
        if not isinstance(name, str):
            continue
        known = jobs.get(name)
        match event.get("event"):
            case "intent":
                job = _from_intent(name, event)
                if job is not None:
                    jobs[name] = job
            case "submitted" if known and isinstance(task := event.get("task"), str):
                jobs[name] = replace(known, stage=Stage.SUBMITTED, task_id=task, reason=None)
            case "unknown" if known:
                jobs[name] = replace(known, stage=Stage.UNKNOWN, reason=str(event.get("reason")))
            case "closed":
                jobs.pop(name, None)
    return tuple(jobs.values())


def _from_intent(name: str, event: Mapping[str, Json]) -> OpenJob | None:
    takes, cost, unit = event.get("takes"), event.get("cost"), event.get("unit")
    texts = [event.get(member) for member in ("key", "provider", "origin", "image", "since")]
    if not isinstance(takes, list) or not all(isinstance(text, str) for text in texts):
        return None
    key, provider, origin, image_id, since = map(str, texts)
    return OpenJob(
        name,
        key,
        tuple(take for take in takes if isinstance(take, int)),
        Stage.UNKNOWN,
        provider,
        origin,
        image_id,
        since,
        cost=float(cost) if isinstance(cost, int | float) else None,
        unit=unit if isinstance(unit, str) else None,
        reason=KILLED,
    )
