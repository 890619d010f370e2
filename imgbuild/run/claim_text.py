"""A claim as others read it: who has it, until when, and the journal of its payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgbuild.core import jobs
from imgbuild.core.image import Json
from imgbuild.core.jobs import End, OpenJob, Stage
from imgbuild.core.redact import clean
from imgbuild.core.results import is_amount

MOST = 100
"""Claims in one line, and lines in one journal, that are looked at."""
_LONGEST = 3600.0
"""Seconds that a claim may go without a word."""
_TELLING = frozenset({"intent", "submitted", "unknown", "expired", "closed"})
"""The journal's lines that others need; those about bytes in this cache are of no use to them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A claim as it was read. One that cannot be read binds nobody."""

    id: str = ""
    who: str = ""
    cache: str = ""
    beats: int = 0
    lasts: float = 0.0
    until: float = 0.0
    left: bool = True
    journal: Sequence[Mapping[str, Json]] = ()


def is_telling(event: Mapping[str, Json]) -> bool:
    """Whether others need a line: not what is about bytes in this cache, nor that these are stored here."""
    stored = event.get("event") == "closed" and event.get("how") == End.STORED.value
    return event.get("event") in _TELLING and not stored


def journal_lines(job: OpenJob) -> list[Mapping[str, Json]]:
    """The journal of an open job, as far as others need it."""
    lines: list[Mapping[str, Json]] = [jobs.intent(job)]
    if job.task_id is not None:
        lines.append(jobs.submitted(job.id, job.task_id))
    if job.stage is Stage.EXPIRED:
        lines.append(jobs.expired(job.id))
    if job.stage is Stage.UNKNOWN and job.reason != jobs.KILLED:
        lines.append(jobs.unknown(job.id, job.reason or jobs.KILLED))
    return lines


def read_claim(value: Json) -> Seen:
    """A claim's value, bounded and escaped."""
    match value:
        case {
            "id": str(id),
            "who": str(who),
            "cache": str(cache),
            "beats": int(beats),
            "lasts": int() | float() as lasts,
            "until": int() | float() as until,
            "left": bool(left),
            "journal": list(journal),
        } if is_amount(lasts) and is_amount(until):
            lines = [line for line in journal[:MOST] if isinstance(line, dict)]
            bounded = min(max(float(lasts), 0.1), _LONGEST)
            return Seen(id, clean(who), cache, beats, bounded, float(until), left, lines)
    return Seen()
