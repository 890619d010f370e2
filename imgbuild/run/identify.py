"""Where a file comes from: by its bytes, from the lock and the records, or else by what its metadata say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from imgbuild.core.credentials import Credentials
from imgbuild.core.errors import BadImageError, ImgbuildError
from imgbuild.core.lock import Lock
from imgbuild.core.redact import clean
from imgbuild.core.results import ADOPTED, StoredResult
from imgbuild.store.cache import Cache
from imgbuild.store.fsio import digest_file

Known = Literal["lock", "result", "output", "metadata", "credentials"]


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """What is known about a file. Texts of its metadata are claims: nothing there need be signed."""

    file: str
    digest: str
    known: Known
    """How it is known: an output in this project's lock, a result or a derived file of this cache, or only
    by its metadata, or by nothing but its content credentials."""
    image_id: str | None = None
    output: str | None = None
    """The output's path, where the lock names these bytes."""
    key: str | None = None
    take: int | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    model: str | None = None
    provider: str | None = None
    """The provider's type."""
    created: str | None = None
    """ISO 8601, UTC."""
    cost: float | None = None
    unit: str | None = None
    adopted: bool = False
    credentials: Credentials | None = None
    """What it is signed with, whoever signed it."""


def identify(file: Path, name: str, cache: Cache, lock: Lock) -> FileOrigin:
    """Look a file up; `name` is what messages call it.

    Raises:
        ImgbuildError: nothing is known about it.
        StorageError: it or the cache cannot be read.
    """
    from imgbuild.images.read_credentials import read_credentials

    digest = digest_file(file)
    credentials = read_credentials(file)
    found = _in_lock(name, digest, cache, lock) or _in_records(name, digest, cache)
    try:
        found = found or _by_metadata(file, name, digest)
    except ImgbuildError:
        if credentials is None:
            raise
        found = FileOrigin(name, digest, "credentials")
    return replace(found, credentials=credentials)


def _in_lock(name: str, digest: str, cache: Cache, lock: Lock) -> FileOrigin | None:
    for id, image in lock.images.items():
        for path, output in image.outputs.items():
            if output.digest != digest:
                continue
            found = FileOrigin(
                name,
                digest,
                "lock",
                image_id=id,
                output=path,
                key=image.key,
                take=image.take,
                model=image.model,
                provider=image.provider,
            )
            result = cache.records.result(image.key, image.take)
            return _with_result(found, _made(result, cache)) if result else found
    return None


def _in_records(name: str, digest: str, cache: Cache) -> FileOrigin | None:
    records = cache.records
    sources = {
        output.source
        for recipe in records.made_by(digest)
        for output in records.outputs(recipe).values()
        if output.digest == digest
    }
    results = _made_first(records.all_results())
    master = next((one for one in results if one.digest == digest), None)
    result = master or next((one for one in results if one.digest in sources), None)
    if result is None:
        return None
    found = FileOrigin(name, digest, "result" if master else "output", image_id=result.image_id)
    return _with_result(found, result)


def _by_metadata(file: Path, name: str, digest: str) -> FileOrigin:
    from imgbuild.images.read_provenance import read_provenance

    try:
        said = read_provenance(file)
    except BadImageError:
        raise ImgbuildError(
            f"nothing is known about {name}, and it is no picture that could say more"
        ) from None
    prompt, model, key = (
        clean(said[n], limit=10_000) if n in said else None for n in ("prompt", "model", "key")
    )
    if prompt is None and model is None and key is None:
        more = "; its metadata only say that a model made it" if said.get("source_type") else ""
        raise ImgbuildError(
            f"nothing is known about {name}: it is in no record of this cache{more}",
            remedy="look on the machine that made it; embed_prompt puts the prompt into files themselves",
        )
    return FileOrigin(name, digest, "metadata", key=key, prompt=prompt, model=model)


def _with_result(found: FileOrigin, result: StoredResult) -> FileOrigin:
    """With what a result's record tells. Of a person's file the spec says nothing about its origin."""
    foreign = result.provider == ADOPTED
    prompt, negative = (result.spec.get(name) for name in ("prompt", "negative_prompt"))
    return replace(
        found,
        key=found.key or result.key,
        take=found.take or result.take,
        prompt=prompt if isinstance(prompt, str) and not foreign else None,
        negative_prompt=negative if isinstance(negative, str) and not foreign else None,
        model=result.model,
        provider=result.provider,
        created=result.created,
        cost=result.cost,
        unit=result.unit,
        adopted=result.adopted,
    )


def _made(result: StoredResult, cache: Cache) -> StoredResult:
    """The result itself; of one that was taken over from another key, the one that was paid for."""
    if not result.adopted:
        return result
    same = (one for one in _made_first(cache.records.all_results()) if one.digest == result.digest)
    return next(same, result)


def _made_first(results: Iterable[StoredResult]) -> list[StoredResult]:
    """What was made before what was adopted: of equal bytes the first says where they come from."""
    return sorted(results, key=lambda one: (one.adopted, one.created))
