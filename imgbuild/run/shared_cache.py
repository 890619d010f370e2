"""The shared cache of one command: facts, bytes, claims and uploads, until the command ends."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from imgbuild.core.lock import Lock
from imgbuild.core.plan.action import Action, Facts, Mode, Plan
from imgbuild.run.claims import Claims
from imgbuild.run.observed import Observed
from imgbuild.run.shared import Shared
from imgbuild.run.shared_facts import SharedFacts, image_with_shared, plan_with_shared
from imgbuild.run.shared_settings import SharedSettings
from imgbuild.run.shared_uploads import Uploads
from imgbuild.store.cache import Cache
from imgbuild.store.remote.base import ClaimingRemote
from imgbuild.store.remote.opening import open_remote


class SharedCache:
    """A shared cache beside a local one, which asks it for what it lacks and tells it what it gets."""

    def __init__(self, cache: Cache, settings: SharedSettings) -> None:
        """Raises UsageError where a package for it is missing."""
        remote = open_remote(
            settings.address, settings.variables, auth=settings.auth, timeout=settings.timeout
        )
        self.shared = Shared(remote, cache, settings)
        self.uploads = Uploads(self.shared)
        self.claims: Claims | None = None
        if settings.writes and isinstance(remote, ClaimingRemote):
            self.claims = Claims(self.shared, remote, self.uploads)
        # Also where a command only plans: sockets are not left open.
        self._close = weakref.finalize(self, _close, self.shared, self.uploads)
        cache.blobs.elsewhere = self.shared.bring
        cache.on_record = self.uploads.offer
        if self.claims is not None:
            cache.journal.mirror = self.claims.note

    def facts(self, root: Path, observed: Observed) -> SharedFacts:
        """What the planner asks for, with what is known of the shared cache by now."""
        return SharedFacts(root, self.shared, observed)

    def plan(
        self, make: Callable[[Facts], Plan], root: Path, observed: Observed, lock: Lock, mode: Mode
    ) -> Plan:
        """A plan that knows what the shared cache has."""
        return plan_with_shared(make, self.shared, root, observed, lock, mode)

    def plan_image(
        self, make: Callable[[Facts], Action], root: Path, observed: Observed, lock: Lock, mode: Mode
    ) -> Action:
        """The same for one image in the midst of a build. Waits for the network."""
        return image_with_shared(make, self.shared, root, observed, lock, mode)

    async def fetch(self, digests: Iterable[str]) -> None:
        """Bring blobs into the local cache, as far as they can be had."""
        missing = self.shared.missing(digests)
        brought = [asyncio.wrap_future(self.shared.begin(self.shared.bring, digest)) for digest in missing]
        await asyncio.gather(*brought)

    def bring_now(self, digests: Iterable[str]) -> None:
        """The same for a command without an event loop. Waits for the network."""
        self.shared.each(self.shared.bring, self.shared.missing(digests))

    def finish(self) -> Collection[str]:
        """Wait for what is being sent, and let go; returns the warnings.

        Raises RemoteError where the shared cache is required and something could not be sent, and
        StorageError where the local cache cannot be written.
        """
        try:
            self.shared.each(self.shared.bring, self.shared.unnoted())
            self.uploads.finish()
            return self.shared.warnings()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything; what is still being sent is given up."""
        self._close()


def _close(shared: Shared, uploads: Uploads) -> None:
    uploads.close()
    shared.close()
