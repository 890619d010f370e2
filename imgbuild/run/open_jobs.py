"""Paid tasks that are open: listing them, settling what is stored already, and deciding by hand."""

from __future__ import annotations

from collections.abc import Sequence

from imgbuild.core import jobs
from imgbuild.core.errors import JournalError, UsageError
from imgbuild.core.jobs import End, OpenJob
from imgbuild.core.spending import charge_of
from imgbuild.store.cache import Cache
from imgbuild.store.encoding import result_from_json


def list_jobs(cache: Cache) -> tuple[Sequence[OpenJob], JournalError | None]:
    """Everything that is open on this cache, oldest first, and the first file that cannot be understood.

    Raises:
        StorageError: the cache cannot be read.
    """
    found: list[OpenJob] = []
    trouble: JournalError | None = None
    for key in cache.journal.recorded_keys():
        try:
            found += cache.journal.open_jobs(key)
        except JournalError as error:
            trouble = trouble or error
    return sorted(found, key=lambda job: (job.since, job.id)), trouble


def settle_all(cache: Cache) -> None:
    """Record what was stored just before a build was killed, and close the jobs that are done by that.

    A job that some other build has in hand is left to it.

    Raises:
        StorageError: the cache cannot be read or written.
    """
    for key in cache.journal.recorded_keys():
        claim = cache.journal.try_claim(key, "imgbuild, looking after an earlier build")
        if claim is None:
            continue
        try:
            settle(cache, key)
            cache.journal.tidy(key)
        except JournalError:
            # Said when an image needs this key, and by `imgbuild jobs`.
            continue
        finally:
            claim.release()


def settle(cache: Cache, key: str) -> None:
    """The same for one key. Only for the holder of its claim."""
    for job in cache.journal.open_jobs(key):
        for members in job.ready.values():
            result = result_from_json(members)
            if result is not None and cache.blobs.has(result.digest) and not is_kept(cache, key, result.take):
                cache.note(result)
        if all(is_kept(cache, key, take) for take in job.takes):
            cache.journal.append(key, jobs.closed(job.id, End.STORED))


def is_kept(cache: Cache, key: str, take: int) -> bool:
    """Whether a take is recorded and its bytes are there."""
    result = cache.records.result(key, take)
    return result is not None and cache.blobs.has(result.digest)


def give_up(cache: Cache, job: OpenJob, how: End, outcome: str) -> None:
    """Close a job without a result, and keep account of what it may have cost. Only for its claim's holder.

    `outcome` is what became of it: "refused", "failed", "forgotten", "retried".
    """
    lost = [take for take in job.takes if not is_kept(cache, job.key, take)]
    if lost:
        cache.records.put_payment(charge_of(job, outcome, len(lost)))
    cache.journal.append(job.key, jobs.closed(job.id, how))


def decide(cache: Cache, id: str, how: End) -> OpenJob:
    """Take a job off the list, forgotten or retried. Either way the next build submits anew.

    Raises:
        UsageError: no such job, or a build is just working on it.
    """
    found, trouble = list_jobs(cache)
    job = next((job for job in found if job.id == id), None)
    if job is None:
        raise trouble or UsageError(f'no open job has the id "{id}"', remedy="imgbuild jobs lists them")
    claim = cache.journal.try_claim(job.key, f"imgbuild jobs, deciding about {job.image_id}")
    if claim is None:
        who = cache.journal.payer(job.key)
        raise UsageError(f"{who} is working on job {id}", remedy="wait until it ends")
    try:
        give_up(cache, job, how, how.value)
        cache.journal.tidy(job.key)
    finally:
        claim.release()
    return job
