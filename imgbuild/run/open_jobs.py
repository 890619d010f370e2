"""`imgbuild jobs`: submissions whose results are not in the cache, and deciding what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence

from imgbuild.core import jobs
from imgbuild.core.errors import UsageError
from imgbuild.core.jobs import OpenJob
from imgbuild.store.cache import Cache


def list_jobs(cache: Cache) -> Sequence[OpenJob]:
    """Everything that is open on this cache, oldest first."""
    return sorted(cache.journal.all_open(), key=lambda job: (job.since, job.id))


def decide(cache: Cache, id: str, how: str) -> OpenJob:
    """Take a job off the list: "forgotten" or "retried". Either way the next build submits anew.

    Raises:
        UsageError: no such job, or a build is just working on it.
    """
    job = next((job for job in cache.journal.all_open() if job.id == id), None)
    if job is None:
        raise UsageError(f'no open job has the id "{id}"', remedy="imgbuild jobs lists them")
    claim = cache.journal.try_claim(job.key)
    if claim is None:
        raise UsageError(f"a build is working on job {id}", remedy="wait until it ends")
    try:
        cache.journal.append(job.key, jobs.closed(id, how))
        cache.journal.tidy(job.key)
    finally:
        claim.release()
    return job
