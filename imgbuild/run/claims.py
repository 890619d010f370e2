"""Claims on a shared cache: of many builders that want one key, one pays and the others wait.

A claim is a record that was created on condition that there was none. Its holder writes it anew from time to
time; whoever sees it unchanged for longer than it promised takes over, by creating the next one in line,
which again only one can. A claim carries the journal of its payment: who takes over goes on with the task
that was submitted, and where nobody can know whether something was charged, says so instead of paying again.

    absent ──create 1──▶ held ──result is sent──▶ deleted
                          │ ──nothing was paid──▶ deleted
                          ▼ (not heard of, or left with a task)
                         create 2 ──▶ held, with the journal of 1 ──▶ ...
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from imgbuild.core.errors import JournalError, StorageError
from imgbuild.core.image import Json
from imgbuild.core.jobs import replay
from imgbuild.run.claim_text import MOST, Seen, is_telling, journal_lines, read_claim
from imgbuild.run.open_jobs import is_kept
from imgbuild.run.shared import Shared
from imgbuild.run.shared_uploads import Uploads
from imgbuild.store.remote import documents
from imgbuild.store.remote.base import ClaimingRemote, RemoteError

_BEATS = 3
"""So many times within its time a holder is heard of."""
_CLOCKS_DIFFER = 600.0
"""Seconds. A claim whose end lies longer ago than clocks differ need not be watched to be dead."""


@dataclass(slots=True)
class _Held:
    """A claim of ours."""

    key: str
    number: int
    who: str
    id: str
    journal: list[Mapping[str, Json]]
    before: Sequence[Mapping[str, Json]]
    """The journal of the claim before it in line."""
    beats: int = 0
    lost: bool = False
    """Somebody else has taken over."""
    left: bool = False
    """Anybody may take over at once."""
    writing: threading.RLock = field(default_factory=threading.RLock)
    beating: asyncio.Task[None] | None = None


class Claims:
    """The claims that one process holds, and what it has seen of others'."""

    def __init__(self, shared: Shared, remote: ClaimingRemote, uploads: Uploads) -> None:
        self._shared = shared
        self._remote = remote
        self._uploads = uploads
        self._journal = shared.cache.journal
        self._scope = shared.settings.scope
        self._lasts = shared.settings.claim_time
        self._held: dict[str, _Held] = {}
        self._watched: dict[str, tuple[tuple[str, int], float]] = {}
        """By key: a claim as it was last seen, and since when it is so, by our own clock."""
        self._tried = False
        """Whether this store was seen to keep conditions, or not to."""
        self._releasing: set[asyncio.Task[None]] = set()

    @cached_property
    def _cache(self) -> str:
        """Tells claims that were left on this very cache, whose journal is the better one."""
        where = f"{socket.gethostname()} {self._shared.cache.root}"
        return hashlib.sha256(where.encode(errors="replace")).hexdigest()[:16]

    async def take(self, key: str, takes: Sequence[int], image_id: str, project: str) -> str | None:
        """Claim a key, and have what others paid for it meanwhile. Returns who has it, or None: it is ours.

        Only for the holder of the key's local claim. A shared cache that fails claims nothing, and stops
        nobody. Nor is anything claimed where whoever had the claim has paid for all of it: many that waited
        would otherwise go through it one by one.

        Raises:
            RemoteError: it fails, and is required.
            StorageError: the local cache or journal cannot be written.
        """
        if not self._shared.writes:
            return None
        if key in self._watched and await asyncio.to_thread(self._is_paid, key, takes):
            return None
        who = f"imgbuild on {socket.gethostname()} (process {os.getpid()}), for {image_id}"
        holder = await asyncio.to_thread(self._take, key, who, project)
        held = self._held.get(key)
        if held is not None:
            held.beating = asyncio.create_task(self._beat(held))
            await asyncio.to_thread(self._have, key, takes)
        return holder

    def leave(self, key: str) -> None:
        """Let others have a key: at once if nothing was paid, else when its results are sent.

        What is still on its way stays with its journal, for anybody to go on with. Only for the holder of
        the key's local claim.
        """
        held = self._held.pop(key, None)
        if held is not None:
            releasing = asyncio.create_task(self._release(held, is_open=self._is_open(key)))
            self._releasing.add(releasing)
            releasing.add_done_callback(self._releasing.discard)

    async def finish(self) -> None:
        """Wait until every claim that was left is released."""
        while self._releasing:
            await asyncio.gather(*self._releasing, return_exceptions=True)

    def note(self, key: str, event: Mapping[str, Json]) -> None:
        """Add a line of the journal to a claim. When this returns after an intent, others know of it.

        Raises StorageError: somebody else has taken over, so that nothing may be sent.
        """
        held = self._held.get(key)
        if held is None or not is_telling(event):
            return
        is_intent = event.get("event") == "intent"
        with held.writing:
            held.journal.append({**event, "project": ""} if is_intent else event)
        try:
            self._shared.attempt(lambda: self._write(held), None)
        except RemoteError:
            # What was sent already is seen through, whether others hear of it or not.
            if is_intent:
                raise
        if held.lost and is_intent:
            raise StorageError(
                "another builder has taken over, because this one was not heard of",
                remedy="build again: nothing was charged",
            )

    def _take(self, key: str, who: str, project: str) -> str | None:
        claimed = self._shared.attempt(lambda: self._claim(key, who), None)
        if not isinstance(claimed, _Held):
            return claimed
        self._adopt(claimed, project)
        self._held[key] = claimed
        return None

    def _claim(self, key: str, who: str) -> _Held | str | None:
        number, last = self._last(key)
        if last is not None and not self._is_dead(key, last):
            return last.who
        if number >= MOST:
            raise StorageError(
                f"the shared cache has {MOST} claims of {key[:12]} that were left: nothing is paid for it",
                remedy=f"remove what lies there under {self._scope}/claim/{key}",
            )
        before = last.journal if last else ()
        inherited = [] if last is None or last.cache == self._cache else [*before]
        held = _Held(key, number + 1, who, secrets.token_hex(8), inherited, before)
        name = _name(key, held.number)
        if not self._remote.create_record(self._scope, name, self._document(held)):
            return "another builder"
        if not self._tried:
            self._tried = True
            self._try(held)
        after = self._read(key, held.number + 1)
        if after is not None and not self._is_dead(key, after):
            # The line was just being taken away behind its last.
            self._remote.delete_record(self._scope, name)
            return after.who
        return held

    def _try(self, held: _Held) -> None:
        """Create a claim that is there already: a store that takes it knows no conditions."""
        if self._remote.create_record(self._scope, _name(held.key, held.number), self._document(held)):
            self._shared.warn(
                "conditions",
                "the shared cache knows no conditional writes (If-None-Match): of builders that begin an "
                "image at the same moment, each may pay for it",
            )

    def _adopt(self, held: _Held, project: str) -> None:
        """Go on from the journal of whoever had the claim, and tell what this cache's own has open."""
        try:
            own = {job.id: job for job in self._journal.open_jobs(held.key)}
        except JournalError:
            # Told by whoever needs it: nothing is submitted then.
            return
        try:
            theirs = [job for job in replay(held.journal) if job.key == held.key]
        except (ValueError, OverflowError):
            self._shared.warn("claim", f"the shared cache has a claim of {held.key[:12]} that cannot be read")
            theirs = []
        for job in theirs:
            if job.id not in own:
                for line in journal_lines(replace(job, project=project)):
                    self._journal.append(held.key, line)
        known = {job.id for job in theirs}
        held.journal = [line for job in theirs for line in journal_lines(replace(job, project=""))]
        for job in own.values():
            if job.id not in known:
                held.journal += journal_lines(replace(job, project=""))

    def _have(self, key: str, takes: Sequence[int]) -> None:
        """What others have paid for and sent meanwhile."""
        for take in takes:
            result = self._shared.read_result(key, take)
            if result is not None:
                self._shared.blobs.pop(result.digest, None)
                self._shared.bring(result.digest)

    def _is_paid(self, key: str, takes: Sequence[int]) -> bool:
        """Whether others have paid for all takes by now. What they paid for is here then."""
        self._have(key, takes)
        return all(is_kept(self._shared.cache, key, take) for take in takes)

    async def _beat(self, held: _Held) -> None:
        while self._shared.writes and not held.lost:
            await asyncio.sleep(self._lasts / _BEATS)
            await asyncio.to_thread(self._shared.attempt, lambda: self._write(held), None)

    async def _release(self, held: _Held, *, is_open: bool) -> None:
        try:
            sent = await asyncio.to_thread(self._uploads.wait_for, held.key)
        finally:
            if held.beating is not None:
                held.beating.cancel()
                await asyncio.gather(held.beating, return_exceptions=True)
        held.left = True
        work = self._delete
        if is_open or not sent:
            # With nothing new to tell, the claim before it in line says all.
            work = self._withdraw if held.before and held.journal == [*held.before] else self._write
        await asyncio.to_thread(self._shared.attempt, lambda: work(held), None)

    def _is_open(self, key: str) -> bool:
        try:
            return bool(self._journal.open_jobs(key))
        except StorageError:
            return True

    def _write(self, held: _Held) -> None:
        """Let others hear of a claim, unless one of them has taken over."""
        with held.writing:
            held.lost = held.lost or self._read(held.key, held.number + 1) is not None
            if not held.lost:
                held.beats += 1
                name = _name(held.key, held.number)
                self._remote.write_record(self._scope, name, self._document(held), {})

    def _delete(self, held: _Held) -> None:
        """Take the whole line away, the oldest first, so that nobody takes over what is gone."""
        with held.writing:
            if self._read(held.key, held.number + 1) is None:
                for number in range(1, held.number + 1):
                    self._remote.delete_record(self._scope, _name(held.key, number))

    def _withdraw(self, held: _Held) -> None:
        """Take away the end of a line."""
        with held.writing:
            if self._read(held.key, held.number + 1) is None:
                self._remote.delete_record(self._scope, _name(held.key, held.number))

    def _last(self, key: str) -> tuple[int, Seen | None]:
        """The number of the last claim in line, 0 for none, and what it says."""
        number, last = 0, None
        while number < MOST and (seen := self._read(key, number + 1)) is not None:
            number, last = number + 1, seen
        return number, last

    def _read(self, key: str, number: int) -> Seen | None:
        """A claim; None if there is none."""
        name = _name(key, number)
        data = self._remote.read_record(self._scope, name)
        if data is None:
            return None
        try:
            return read_claim(documents.unseal(self._scope, name, data, self._shared.settings.secret))
        except documents.UnsignedError:
            self._shared.warn("unsigned", "claims in the shared cache that are not signed are not heeded")
            return Seen()

    def _is_dead(self, key: str, seen: Seen) -> bool:
        # On this cache, whoever holds the local claim is the only one.
        if seen.left or seen.cache == self._cache or time.time() > seen.until + _CLOCKS_DIFFER:
            return True
        now, state = time.monotonic(), (seen.id, seen.beats)
        before = self._watched.get(key)
        if before is None or before[0] != state:
            self._watched[key] = (state, now)
            return False
        return now - before[1] > seen.lasts

    def _document(self, held: _Held) -> bytes:
        value: dict[str, Json] = {
            "id": held.id,
            "who": held.who,
            "cache": self._cache,
            "beats": held.beats,
            "lasts": self._lasts,
            "until": time.time() + self._lasts,
            "left": held.left,
            "journal": [dict(line) for line in held.journal[-MOST:]],
        }
        name = _name(held.key, held.number)
        return documents.seal(self._scope, name, value, self._shared.settings.secret)


def _name(key: str, number: int) -> str:
    return f"claim/{key}/{number}"
