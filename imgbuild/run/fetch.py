"""References that are URLs: fetched once, kept as a blob, pinned by digest."""

from __future__ import annotations

import asyncio

from imgbuild.core.errors import BadImageError, ImgbuildError
from imgbuild.images.decode import inspect
from imgbuild.run.connections import Connections
from imgbuild.store.cache import Cache

TIMEOUT = 120.0
"""Seconds for one reference."""


class References:
    """Fetches each URL at most once in a run, from private addresses only for a provider on one itself."""

    def __init__(self, cache: Cache, connections: Connections, *, offline: bool) -> None:
        self._cache = cache
        self._connections = connections
        self._offline = offline
        self._fetching: dict[str, asyncio.Lock] = {}

    async def pin(self, url: str, provider: str) -> str:
        """The digest of what a URL gives, from the cache where it was ever fetched.

        `provider` is the name of the provider that the reference is for.

        Raises:
            ProviderFailure: it cannot be fetched.
            ImgbuildError: offline, or what came is no image.
        """
        async with self._fetching.setdefault(url, asyncio.Lock()):
            known = self._cache.records.pin(url)
            if known is not None and self._cache.blobs.has(known):
                return known
            if self._offline:
                raise ImgbuildError(
                    f"the reference {url} was never fetched, and --offline forbids it",
                    remedy="build once without --offline",
                )
            return await self._fetch(url, self._connections.base_url(provider))

    async def _fetch(self, url: str, home: str | None) -> str:
        from imgbuild.providers.download import DownloadClient
        from imgbuild.providers.transport import tls_context

        client = DownloadClient("reference", home or "https://reference.invalid", TIMEOUT, tls_context())
        path = self._cache.blobs.scratch()
        try:
            await client.fetch(url, path)
            await asyncio.to_thread(inspect, path)
            return (await asyncio.to_thread(self._cache.keep_pin, url, path)).digest
        except BadImageError as error:
            raise ImgbuildError(f"the reference {url} is not usable: {error.message}") from None
        finally:
            path.unlink(missing_ok=True)
            await client.aclose()
