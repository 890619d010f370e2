"""One request to a provider: an image's spec, the takes that its results become, and what is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.image import FileReference, Image, Reference, UrlReference
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.plan.spec import Keys, Spec
from imgbuild.core.results import StoredResult
from imgbuild.core.sniff import ImageFacts
from imgbuild.images.decode import inspect
from imgbuild.providers.base import Finished, ReferenceFile, Request
from imgbuild.store.blobs import Blob
from imgbuild.store.cache import Cache
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
        references=tuple(map(file, image.references, spec.references)),
        mask=file(image.mask, spec.mask) if image.mask and spec.mask else None,
        params=spec.params,
    )


def make_result(job: Job, take: int, facts: ImageFacts, blob: Blob, finished: Finished) -> StoredResult:
    """The record of one take."""
    resolved = job.resolved
    priced = resolved.sends and resolved.price is not None
    return StoredResult(
        key=job.keys.current,
        take=take,
        digest=blob.digest,
        format=facts.format,
        width=facts.width,
        height=facts.height,
        bytes=blob.bytes,
        spec=job.spec.record(),
        provider=resolved.provider_type,
        image_id=resolved.image.id,
        created=now(),
        model=resolved.image.model,
        declared=(*job.keys.declared, *job.keys.picture),
        cost=resolved.price if priced else None,
        unit=resolved.unit if priced else None,
        usage=finished.usage,
    )


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
