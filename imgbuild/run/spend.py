"""`imgbuild spend`: what was paid on a cache, and what may have been paid without a result."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from imgbuild.core.errors import JournalError
from imgbuild.core.jobs import OpenJob
from imgbuild.core.results import Payment, payment_of
from imgbuild.core.spending import charge_of, paid_on
from imgbuild.run.declared_cache import declared_cache
from imgbuild.run.open_jobs import list_jobs
from imgbuild.run.workspace import Invocation, cache_folder
from imgbuild.store.cache import Cache, open_cache
from imgbuild.store.encoding import result_from_json


def open_project_cache(invocation: Invocation) -> tuple[Cache, str | None]:
    """The project's cache, whatever else is wrong with its manifest: an error there hides no bill.

    The text says, for people, that the manifest cannot be read so far, and the user's own cache was taken.
    """
    configured, reason = _declared_folder(invocation)
    return open_cache(cache_folder(invocation, configured)), reason


def _declared_folder(invocation: Invocation) -> tuple[str | None, str | None]:
    """`cache.dir` where it matters, and why it could not be read."""
    if invocation.environ.get("IMGBUILD_CACHE_DIR"):
        return None, None
    config, readable = declared_cache(invocation)
    if readable:
        return config.dir if config else None, None
    name = invocation.shown(invocation.manifest)
    return None, f"{name} cannot be read, so a cache.dir in it is not looked into"


def list_payments(
    cache: Cache, *, project: str | None, since: date | None
) -> tuple[Sequence[Payment], JournalError | None]:
    """What a project paid, and may have paid; and the first file of the journal that hides something.

    `project` is its folder, None for every project. `since` is a day in UTC: payments of an unreadable
    time are left out then.

    Raises:
        StorageError: the cache cannot be read.
    """
    recorded = cache.records.all_payments()
    jobs, trouble = list_jobs(cache)
    known = {payment.id for payment in recorded}
    everything = (*recorded, *(charge for job in jobs if (charge := _open_charge(job, known)) is not None))
    return [one for one in everything if project in (None, one.project) and _is_since(one, since)], trouble


def _open_charge(job: OpenJob, known: Collection[str]) -> Payment | None:
    """What an open submission may cost beside what is recorded of it already, if anything."""
    if job.id in known:
        return None
    results = map(result_from_json, job.ready.values())
    payments = [payment_of(result) for result in results if result is not None]
    takes = len(job.takes) - sum(payment is not None and payment.id in known for payment in payments)
    return charge_of(job, job.stage.value, takes) if takes > 0 else None


def _is_since(payment: Payment, since: date | None) -> bool:
    day = paid_on(payment)
    return since is None or (day is not None and day >= since)
