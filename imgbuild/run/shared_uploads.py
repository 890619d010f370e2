"""What a build records is sent to the shared cache in the background: bytes first, then what names them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from imgbuild.core.errors import StorageError
from imgbuild.core.image import Json
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.run.shared import Shared
from imgbuild.store.encoding import Kept
from imgbuild.store.remote import documents
from imgbuild.store.remote.base import RemoteError

_AT_ONCE = 32
_LOCKS = 64
DEADLINE = 300.0
"""Seconds that a build waits at its end for what is still being sent."""


class Uploads:
    """Sends results and outputs, each once."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._sending: dict[str, list[Future[bool]]] = {}
        self._pointers = [threading.Lock() for _ in range(_LOCKS)]
        """Of names that lead to several things each: two threads must not overlook each other."""
        self.sent = 0
        self.sent_bytes = 0

    def offer(self, many: tuple[Kept, ...]) -> None:
        """Send what was just recorded, unless it came from there."""
        for one in many:
            match one:
                case StoredResult():
                    self.send_result(one)
                case StoredOutput():
                    self.send_output(one)

    def send_result(self, result: StoredResult) -> None:
        """Send a result, and what leads to it."""
        known = self._shared.results.get((result.key, result.take))
        if known is None or known.digest != result.digest:
            self._begin(result.key, lambda: self._send_result(result))

    def send_output(self, output: StoredOutput) -> None:
        """Send a derived file, so that nobody else need derive it."""
        known = self._shared.outputs.get(output.recipe_key, {}).get(output.encoder)
        if known is None or known.digest != output.digest:
            self._begin(output.recipe_key, lambda: self._send_output(output))

    def send_blob(self, digest: str) -> None:
        """Send bytes that only a lock names."""

        def send() -> bool:
            self._send_blob(digest)
            return True

        self._begin(digest, send)

    def wait_for(self, key: str) -> bool:
        """Wait until all that belongs to a key is sent. False: something was not."""
        with self._lock:
            futures = [*self._sending.get(key, ())]
        wait(futures, DEADLINE)
        return all(_is_sent(future) for future in futures)

    def finish(self, deadline: float = DEADLINE) -> None:
        """Wait until everything is sent, at most `deadline` seconds; the rest is given up, with a warning.

        Raises RemoteError where the shared cache is required and lacks something now.
        """
        with self._lock:
            futures = [future for some in self._sending.values() for future in some]
        wait(futures, deadline)
        unsent = sum(not _is_sent(future) for future in futures)
        if unsent:
            self._shared.warn(
                "unsent",
                f"{unsent} of {len(futures)} results and files were not sent to the shared cache; "
                "imgbuild cache push sends them",
            )
        if unsent and self._shared.settings.required:
            raise RemoteError("; ".join(self._shared.warnings()))

    def close(self) -> None:
        """Give up what is not sent yet."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: str, send: Callable[[], bool]) -> None:
        if not self._shared.writes:
            return
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_AT_ONCE, "upload")
            self._sending.setdefault(key, []).append(self._pool.submit(self._try, send))

    def _try(self, send: Callable[[], bool]) -> bool:
        try:
            return self._shared.attempt(send, False)
        except StorageError as error:
            self._shared.warn("send", f"not sent to the shared cache: {error.message}")
            return False

    def _send_result(self, result: StoredResult) -> bool:
        shared = self._shared
        name = documents.result_name(result.key, result.take)
        there = documents.read_result(self._value(name), result.key, result.take)
        if there is None or (there.digest != result.digest and not shared.remote.has_blob(there.digest)):
            self._send_blob(result.digest)
            shared.write(name, documents.result_value(result), {result.digest: result.bytes})
        for declared in result.declared:
            self._point(declared, result.key)
        return True

    def _point(self, declared: str, key: str) -> None:
        """Let a declared key lead to a key as well. Of two builders at one moment one may be overlooked:
        its result is then still found by the other key, which both have."""
        name = documents.declared_name(declared)
        with self._pointers[hash(name) % _LOCKS]:
            keys = documents.read_keys(self._value(name))
            if key not in keys:
                self._shared.write(name, [*keys, key], {})

    def _send_output(self, output: StoredOutput) -> bool:
        shared = self._shared
        name = documents.outputs_name(output.recipe_key)
        with self._pointers[hash(name) % _LOCKS]:
            there = documents.read_outputs(self._value(name), output.recipe_key)
            if output.encoder not in there:
                self._send_blob(output.digest)
                blobs = {one.digest: one.bytes for one in (*there.values(), output)}
                shared.write(name, documents.outputs_value(there | {output.encoder: output}), blobs)
        return True

    def _value(self, name: str) -> Json:
        """What the own scope has under a name now."""
        return self._shared.record(self._shared.settings.scope, name)

    def _send_blob(self, digest: str) -> None:
        path = self._shared.cache.blobs.verified(digest)
        if self._shared.remote.write_blob(digest, path):
            with self._lock:
                self.sent += 1
                self.sent_bytes += path.stat().st_size


def _is_sent(future: Future[bool]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None and future.result()
