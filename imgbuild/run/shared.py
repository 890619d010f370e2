"""A project's shared cache as a build uses it: asked before planning, fetched from on demand, written behind.

Whatever it does or fails to do, the local cache goes on alone: one warning, unless it is required. What it
says about bytes is never believed; what it says about keys is, as far as its writers or a signature are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from imgbuild.core.image import Json
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.run.shared_settings import SharedSettings
from imgbuild.store.cache import Cache
from imgbuild.store.remote import documents
from imgbuild.store.remote.base import MAX_BLOB, Remote, RemoteError, WrongBytesError, receive

_AT_ONCE = 32
"""Requests in flight: they wait for the network, not for each other."""
_PAUSE = 0.5
"""Seconds before a remote that failed is asked once more."""
Wish = tuple[str, str, int]
"""What kind of thing is wanted, its key or digest, and for results the take."""

A = TypeVar("A")
B = TypeVar("B")


class Shared:
    """One shared cache beside one local one. Threads share it.

    Every method may raise RemoteError, but only where the shared cache is required.
    """

    def __init__(self, remote: Remote, cache: Cache, settings: SharedSettings) -> None:
        self.remote = remote
        self.cache = cache
        self.settings = settings
        self.results: dict[tuple[str, int], StoredResult | None] = {}
        self.declared: dict[str, tuple[str, ...]] = {}
        self.outputs: dict[str, Mapping[str, StoredOutput]] = {}
        self.blobs: dict[str, bool] = {}
        """What was asked for so far, and what it said."""
        self.fetched = 0
        self.fetched_bytes = 0
        self._named: dict[str, list[StoredResult | StoredOutput]] = {}
        """By digest: the records that are to be kept here once their bytes are."""
        self._gone: RemoteError | None = None
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()
        self._bringing: dict[str, threading.Lock] = {}
        self._stopped = threading.Event()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def usable(self) -> bool:
        """Whether it has not failed yet."""
        return self._gone is None and not self._stopped.is_set()

    @property
    def writes(self) -> bool:
        """Whether this build may write, and still can."""
        return self.settings.writes and self.usable

    def warnings(self) -> tuple[str, ...]:
        """What went wrong, for people. Each is given once."""
        with self._lock:
            new = tuple(words for words in self._told.values() if words)
            self._told = dict.fromkeys(self._told, "")
        return new

    def warn(self, kind: str, words: str) -> None:
        """Tell of a kind of trouble once."""
        with self._lock:
            self._told.setdefault(kind, words)

    def begin(self, do: Callable[[A], B], item: A) -> Future[B]:
        """Do something beside everything else."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_AT_ONCE, "shared")
            return self._pool.submit(do, item)

    def each(self, do: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """Do something for many, at once. Not to be called from within itself."""
        begun = [self.begin(do, item) for item in items]
        return [one.result() for one in begun]

    def attempt(self, do: Callable[[], A], otherwise: A) -> A:
        """What the remote says, or `otherwise` where it fails twice: then it is not asked anything any more.

        Once is not enough: who goes on without it pays for what others have paid for.
        """
        if not self.usable:
            return otherwise
        try:
            try:
                return do()
            except RemoteError:
                if self._stopped.wait(min(_PAUSE, self.settings.timeout)) or not self.usable:
                    raise
                return do()
        except WrongBytesError as error:
            self.warn("wrong", f"{error.message}; it is left out")
        except RemoteError as error:
            if self.settings.required:
                raise
            with self._lock:
                self._gone = self._gone or error
            self.warn("gone", f"{error.message}; this build goes on without it")
        return otherwise

    def ask(self, wishes: Iterable[Wish]) -> None:
        """Find out what the remote has of these, all at once."""
        self.each(self._ask, wishes)

    def knows(self, wish: Wish) -> bool:
        """Whether this was asked for already."""
        kind, key, take = wish
        match kind:
            case "result":
                return (key, take) in self.results
            case "declared":
                return key in self.declared
            case "outputs":
                return key in self.outputs
        return key in self.blobs

    def bring(self, digest: str) -> bool:
        """Have a blob in the local cache, verified, with the records that name it. False: it cannot be had.

        Raises StorageError where the disk refuses.
        """
        with self._lock:
            own = self._bringing.setdefault(digest, threading.Lock())
        with own:
            if self.cache.blobs.has(digest) and self._vouch(digest):
                return True
            if self.blobs.get(digest) is False:
                return False
            self.blobs[digest] = self.attempt(lambda: self._fetch(digest), False)
            return self.blobs[digest]

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those that the local cache lacks, or has without the records that name them."""
        has = self.cache.blobs.has
        return [one for one in dict.fromkeys(digests) if one in self._named or not has(one)]

    def unnoted(self) -> list[str]:
        """Those that the local cache has without the records that name them."""
        with self._lock:
            return [digest for digest in self._named if self.cache.blobs.has(digest)]

    def has(self, digest: str) -> bool:
        """Whether the remote has a blob; asked only once."""
        if digest not in self.blobs:
            self.blobs[digest] = self.attempt(lambda: self.remote.has_blob(digest), False)
        return self.blobs[digest]

    def record(self, scope: str, name: str) -> Json:
        """A record's value, if it is one and signed as it has to be; else None."""

        def read() -> Json:
            data = self.remote.read_record(scope, name)
            if data is None:
                return None
            value = documents.unseal(scope, name, data, self.settings.secret)
            if value is None:
                raise WrongBytesError(f"the shared cache has something in place of the record {name}")
            return value

        try:
            return self.attempt(read, None)
        except documents.UnsignedError:
            self.warn(
                "unsigned",
                f"records of the shared cache that are not signed with cache.sign are left out, e.g. {name}",
            )
            return None

    def write(self, name: str, value: Json, blobs: Mapping[str, int]) -> None:
        """Write a record into this project's scope. Raises RemoteError."""
        scope = self.settings.scope
        data = documents.seal(scope, name, value, self.settings.secret)
        self.remote.write_record(scope, name, data, blobs)

    def read_result(self, key: str, take: int) -> StoredResult | None:
        """A result as the remote has it now, in the own scope before others."""
        name = documents.result_name(key, take)
        found = (documents.read_result(self.record(scope, name), key, take) for scope in self.settings.scopes)
        result = next((one for one in found if one is not None), None)
        self.results[key, take] = result
        if result is not None:
            self._name(result)
        return result

    def close(self) -> None:
        """Let go of everything; what is still on its way is given up."""
        self._stopped.set()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self.remote.close()

    def _ask(self, wish: Wish) -> None:
        kind, key, take = wish
        match kind:
            case "result":
                self.read_result(key, take)
            case "declared":
                name = documents.declared_name(key)
                found = (documents.read_keys(self.record(scope, name)) for scope in self.settings.scopes)
                self.declared[key] = tuple(dict.fromkeys(one for keys in found for one in keys))
            case "outputs":
                self._ask_outputs(key)
            case _:
                self.has(key)

    def _ask_outputs(self, recipe_key: str) -> None:
        name = documents.outputs_name(recipe_key)
        outputs: dict[str, StoredOutput] = {}
        for scope in self.settings.scopes:
            outputs = documents.read_outputs(self.record(scope, name), recipe_key) | outputs
        self.outputs[recipe_key] = outputs
        for output in outputs.values():
            self._name(output)

    def _name(self, kept: StoredResult | StoredOutput) -> None:
        with self._lock:
            self._named.setdefault(kept.digest, []).append(kept)

    def _fetch(self, digest: str) -> bool:
        path = self.cache.blobs.scratch()
        most = max((one.bytes for one in self._named.get(digest, ())), default=MAX_BLOB)
        patience = self.settings.timeout
        if not receive(self.remote, digest, path, most=most, patience=patience, check=self._check):
            return False
        with self._lock:
            named = self._named.pop(digest, [])
        try:
            blob = self.cache.blobs.add_file(path, sync=bool(named), digest=digest)
        finally:
            with suppress(OSError):
                path.unlink()
        with self._lock:
            self.fetched += 1
            self.fetched_bytes += blob.bytes
        new = [one for one in named if not self._is_kept(one)]
        if new:
            self.cache.note(*new)
        return True

    def _vouch(self, digest: str) -> bool:
        """Keep the records that name a blob which came here without them. False: it is damaged."""
        with self._lock:
            named = self._named.pop(digest, [])
        new = [one for one in named if not self._is_kept(one)]
        if not new:
            return True
        if not self.cache.blobs.make_safe(digest):
            with self._lock:
                self._named[digest] = named + self._named.get(digest, [])
            return False
        self.cache.note(*new)
        return True

    def _is_kept(self, kept: StoredResult | StoredOutput) -> bool:
        """Whether the local cache has bytes for it already: what it has, it keeps."""
        if isinstance(kept, StoredOutput):
            return kept.encoder in self.cache.records.outputs(kept.recipe_key)
        there = self.cache.records.result(kept.key, kept.take)
        return there is not None and self.cache.blobs.has(there.digest)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise RemoteError("the build has ended")
