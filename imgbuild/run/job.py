"""One request to a provider: an image's spec, the takes that its results become, and what is sent."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from imgbuild.core.errors import ImgbuildError, StorageError
from imgbuild.core.image import FileReference, Image, Json, Reference, UrlReference
from imgbuild.core.jobs import OpenJob, Stage
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.plan.spec import Keys, Spec
from imgbuild.core.results import StoredResult
from imgbuild.core.sniff import ImageFacts
from imgbuild.images.decode import inspect
from imgbuild.providers.base import Finished, ReferenceFile, Request
from imgbuild.store.blobs import Blob
from imgbuild.store.cache import Cache
from imgbuild.store.encoding import result_from_json
from imgbuild.store.fsio import digest_file


@dataclass(frozen=True, slots=True)
class Job:
    """One request: an image's spec, and the takes that its results become."""

    resolved: Resolved
    spec: Spec
    keys: Keys
    takes: tuple[int, ...]

    @property
    def image(self) -> Image:
        """The image that it is for."""
        return self.resolved.image

    def part(self, takes: tuple[int, ...]) -> Job:
        """The same for other takes."""
        return replace(self, takes=takes)

    @property
    def cost(self) -> float | None:
        """The estimate for all of its takes; None where nobody knows."""
        if not self.resolved.sends:
            return 0.0
        return None if self.resolved.price is None else self.resolved.price * len(self.takes)


def make_request(job: Job, root: Path, cache: Cache) -> Request:
    """What is asked of the provider, with the references' bytes at hand.

    Raises:
        ImgbuildError: a reference is not what the key says.
    """
    image, spec, asked = job.image, job.spec, job.spec.asked

    def file(reference: Reference, digest: str) -> ReferenceFile:
        return _reference(reference, digest, root, cache)

    return Request(
        prompt=spec.prompt,
        model=spec.model,
        negative_prompt=spec.negative_prompt,
        size=asked.size,
        ratio=asked.ratio,
        resolution=asked.resolution,
        quality=spec.quality,
        background=spec.background,
        format=image.format,
        seed=spec.seed,
        n=len(job.takes),
        first_take=job.takes[0],
        key=job.keys.current,
        references=tuple(map(file, image.references, spec.references)),
        mask=file(image.mask, spec.mask) if image.mask and spec.mask else None,
        params=spec.params,
    )


def make_entry(job: Job, origin: str, project: Path) -> OpenJob:
    """The journal's entry for a job that is about to be submitted to `origin`."""
    resolved = job.resolved
    priced = resolved.sends and resolved.price is not None
    draft: dict[str, Json] = {
        "spec": dict(job.spec.record()),
        "model": resolved.image.model,
        "declared": [*job.keys.declared, *job.keys.picture],
        "cost": resolved.price if priced else None,
        "unit": resolved.unit if priced else None,
    }
    return OpenJob(
        id=secrets.token_hex(6),
        key=job.keys.current,
        takes=job.takes,
        stage=Stage.UNKNOWN,
        provider=resolved.provider_type,
        origin=origin,
        image_id=resolved.image.id,
        project=str(project),
        since=now(),
        cost=job.cost,
        unit=resolved.unit,
        draft=draft,
    )


def past_entry(result: StoredResult) -> OpenJob:
    """A job that was closed long ago, as its result's record remembers it."""
    return OpenJob(
        id="",
        key=result.key,
        takes=(result.take,),
        stage=Stage.SUBMITTED,
        provider=result.provider,
        origin=result.origin or "",
        image_id=result.image_id,
        project=result.project or "",
        since=result.created,
        task_id=result.task,
    )


def make_result(entry: OpenJob, take: int, facts: ImageFacts, blob: Blob, finished: Finished) -> StoredResult:
    """The record of one take.

    Raises:
        StorageError: the journal's entry is damaged.
    """
    result = result_from_json(
        {name: member for name, member in entry.draft.items() if member is not None}
        | {
            "key": entry.key,
            "take": take,
            "digest": blob.digest,
            "format": facts.format,
            "width": facts.width,
            "height": facts.height,
            "bytes": blob.bytes,
            "provider": entry.provider,
            "image_id": entry.image_id,
            "created": now(),
            "usage": dict(finished.usage),
        }
    )
    if result is None:
        raise StorageError(f"the journal's entry {entry.id} for {entry.image_id} is damaged")
    if not entry.origin:
        return result
    task = finished.task_id
    origin = entry.origin if task else None
    return replace(result, project=entry.project, job=entry.id, task=task, origin=origin)


def now() -> str:
    """The time as records have it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reference(reference: Reference, digest: str, root: Path, cache: Cache) -> ReferenceFile:
    """A reference's bytes, exactly those that stand in the key."""
    if isinstance(reference, FileReference):
        path = root / reference.path
        if digest_file(path) != digest:
            raise ImgbuildError(f"{reference.path} changed while building", remedy="build again")
    else:
        path = cache.blobs.verified(digest)
    facts = inspect(path)
    url = reference.url if isinstance(reference, UrlReference) else None
    return ReferenceFile(path, digest, f"image/{facts.format}", url)
