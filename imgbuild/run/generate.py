"""Who pays for what: every key and take once, in this run, in other processes, and after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.core.errors import (
    FailureKind,
    ImgbuildError,
    JournalError,
    ProviderFailure,
    StorageError,
    UsageError,
)
from imgbuild.core.events import Emit, JobEvent, JobState, WarningEvent
from imgbuild.core.image import Image
from imgbuild.core.jobs import End, OpenJob
from imgbuild.core.plan.action import Action
from imgbuild.run.connections import Connection, Connections
from imgbuild.run.interruption import Interruption, Stopped
from imgbuild.run.job import Job
from imgbuild.run.limits import AHEAD, Turns
from imgbuild.run.open_jobs import give_up, is_kept, settle
from imgbuild.run.payments import Claim, Payments
from imgbuild.run.resolution import PLACEHOLDER
from imgbuild.run.trust import origin_of
from imgbuild.run.worker import Worker
from imgbuild.store.cache import Cache

if TYPE_CHECKING:
    from imgbuild.run.claims import Claims

_FIRST_LOOK, _LAST_LOOK = 0.1, 2.0
"""Seconds between two looks at a key that another build is paying for: at first, and when it takes long."""
_LONGER = 1.5


class Generator:
    """Brings missing takes into the cache, within the limits of providers and jobs."""

    def __init__(
        self,
        root: Path,
        cache: Cache,
        connections: Connections,
        worker: Worker,
        interruption: Interruption,
        emit: Emit,
        *,
        chains: Mapping[str, int],
        jobs: int | None,
        offline: bool,
        placeholder: bool,
        retry: bool,
        claims: Claims | None = None,
    ) -> None:
        self._root = root
        self._cache = cache
        self._connections = connections
        self._worker = worker
        self._interruption = interruption
        self._emit = emit
        self._chains = chains
        """How many images wait for one, by its id: the longest chain goes first."""
        self._jobs = asyncio.Semaphore(jobs) if jobs else None
        self._offline = offline
        self._placeholder = placeholder
        self._retry = retry
        self._claims = claims
        self._payments = Payments(interruption)

    async def obtain(self, action: Action, on_turn: Callable[[], None]) -> None:
        """Have every missing take of an action in the cache, generated here or by whoever began first.

        `on_turn` is called at least once, as soon as the image waits for its turn no more.

        Raises:
            ImgbuildError: the first failure, after all takes came to an end.
            Stopped: the user wants to end; whoever waits for an answer got it first.
        """
        while not await self._obtained(action, on_turn):
            # What it waited for was taken back on behalf of others.
            pass

    async def _obtained(self, action: Action, on_turn: Callable[[], None]) -> bool:
        if action.resolved is None or action.spec is None or action.keys is None:
            raise TypeError(f"{action.id} is not ready to be generated")
        if self._offline and action.resolved.sends:
            raise ImgbuildError(
                f"{action.id} has to be generated, and --offline forbids it", remedy="build without --offline"
            )
        key = action.keys.current
        connection = self._connections.get(self._provider(action.resolved.image))
        others = {take: self._payments.of((key, take), connection) for take in action.missing}
        own = tuple(take for take, payment in others.items() if payment is None)
        if own:
            job = Job(action.resolved, action.spec, action.keys, own)
            claims = frozenset((key, take) for take in own)
            pay = partial(self._see_to, job, action, connection, on_turn)
            failed = await self._payments.begin(claims, connection, pay).end()
            if failed is not None:
                raise failed
        # Who waits for what another image pays for takes no turn.
        on_turn()
        for take, payment in others.items():
            failed = await payment.end() if payment else None
            if failed is not None and not is_kept(self._cache, key, take):
                if isinstance(failed, Stopped) and not self._interruption.requested:
                    return False
                raise failed
        return True

    async def _see_to(
        self,
        job: Job,
        action: Action,
        connection: Connection,
        on_turn: Callable[[], None],
        wish: Interruption,
    ) -> ImgbuildError | None:
        try:
            async with self._payer(action, job.keys.current, connection, wish, job.takes, on_turn):
                await self._pay(job, wish)
        except ImgbuildError as error:
            return error
        return None

    def turn_to(self, wanted: Collection[Claim], chains: Mapping[str, int]) -> None:
        """Go on for another plan, with what it wants and its chains. What was sent already arrives."""
        self._chains = chains
        self._payments.turn_to(wanted)

    def is_paying(self, claims: Collection[Claim]) -> bool:
        """Whether all of these are being paid for here."""
        return self._payments.are_open(claims)

    async def drain(self) -> None:
        """Wait until nothing is being paid for."""
        await self._payments.drain()

    async def aclose(self) -> None:
        """Let go of what is still being paid for: the journal knows of it."""
        await self._payments.aclose()
        if self._claims is not None:
            await self._claims.finish()

    async def fetch_again(self, action: Action) -> None:
        """Have the results whose bytes the cache has lost, from the tasks that gave them. Costs nothing.

        Raises:
            ImgbuildError: they cannot be had.
        """
        for result in action.lost:
            if self._offline:
                raise ImgbuildError(
                    f"the cache has lost the result of {action.id}, and --offline forbids to fetch it again",
                    remedy="build without --offline",
                )
            own = action.image.provider if action.image else ""
            connection = self._connection_of(result.provider, result.origin or "", own)
            if connection is None:
                if is_kept(self._cache, result.key, result.take):
                    continue
                raise StorageError(
                    f"the cache has lost the result of {action.id}, and {result.origin}, which made "
                    "it, is no longer a provider of the manifest",
                    remedy="configure it again, or pay for another one with "
                    f"imgbuild reroll '{result.image_id}'",
                )
            async with self._payer(action, result.key, connection, self._interruption):
                if not is_kept(self._cache, result.key, result.take):
                    await self._worker.fetch_again(result, connection)

    async def collect(self, busy: Collection[str]) -> None:
        """Go on with the tasks of this project that no image asks for any more: they are paid for.

        `busy`: the keys that images of this build need, which look after their own tasks. Failures are
        written down, and stop nothing.
        """
        few = Turns(AHEAD)
        keys = self._cache.journal.recorded_keys()
        collecting = (self._collect(key, few) for key in keys if key not in busy)
        for outcome in await asyncio.gather(*collecting, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _collect(self, key: str, few: Turns) -> None:
        project = str(self._root)
        async with few.turn():
            claim = self._cache.journal.try_claim(key, f"imgbuild in {project}")
            if claim is None:
                return
            try:
                for entry in self._cache.journal.open_jobs(key):
                    connection = self._connection_of(entry.provider, entry.origin, "")
                    if entry.project == project and entry.can_be_asked_for and connection:
                        with suppress(ProviderFailure):
                            await self._worker.resume(entry, connection, _stay)
                self._cache.journal.tidy(key)
            except (JournalError, UsageError):
                # A damaged file is told to whom it concerns; a provider without its key can wait.
                return
            except StorageError as error:
                self._emit(WarningEvent(error.message))
            finally:
                claim.release()

    @asynccontextmanager
    async def _payer(
        self,
        action: Action,
        key: str,
        connection: Connection,
        wish: Interruption,
        takes: Sequence[int] = (),
        on_turn: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[None]:
        """Be the only one who pays for a key, on this cache. The system lets go of it if we are killed.

        For `takes` also among all builders on the shared cache. Whoever waits for another build waits
        outside: what is open here is bounded by the provider's turns.
        """
        said: str | None = None
        pause = _FIRST_LOOK
        while True:
            async with AsyncExitStack() as held:
                turn = connection.limiter.ready.turn(self._chains.get(action.id, 0))
                await wish.unless(held.enter_async_context(turn))
                on_turn()
                if action.resolved is None or not action.resolved.sends:
                    yield
                    return
                journal = self._cache.journal
                claim = journal.try_claim(key, f"imgbuild in {self._root}, for {action.id}")
                payer: str | None
                if claim is None:
                    payer = journal.payer(key)
                else:
                    held.callback(claim.release)
                    payer = await self._payer_elsewhere(action, key, takes, held)
                if payer is None:
                    yield
                    journal.tidy(key)
                    return
            if payer != said:
                provider = action.resolved.image.provider
                self._emit(JobEvent(action.id, JobState.WAITING, provider, detail=f"for {payer}"))
                said = payer
            await wish.sleep(pause)
            pause = min(pause * _LONGER, _LAST_LOOK)

    async def _payer_elsewhere(
        self, action: Action, key: str, takes: Sequence[int], held: AsyncExitStack
    ) -> str | None:
        """Who pays for a key on another machine that shares the cache; None: it is ours to pay."""
        if self._claims is None or not takes:
            return None
        held.callback(self._claims.leave, key)
        return await self._claims.take(key, takes, action.id, str(self._root))

    async def _pay(self, whole: Job, wish: Interruption) -> None:
        """Go on with what was submitted before, submit the rest, and see all of it through."""
        key = whole.keys.current
        open_jobs: Sequence[OpenJob] = ()
        if whole.resolved.sends:
            settle(self._cache, key)
            open_jobs = self._cache.journal.open_jobs(key)
        missing = [take for take in whole.takes if not is_kept(self._cache, key, take)]
        waiting: list[tuple[Job, OpenJob | None]] = []
        failures: list[BaseException] = []
        for entry in open_jobs:
            takes = tuple(take for take in entry.takes if take in missing)
            if not takes:
                continue
            if entry.can_be_asked_for:
                waiting.append((whole.part(entry.takes), entry))
            elif self._retry:
                give_up(self._cache, entry, End.RETRIED, End.RETRIED.value)
                continue
            else:
                failures.append(_may_be_charged(entry))
            missing = [take for take in missing if take not in takes]
        n = whole.resolved.max_n
        waiting += [
            (whole.part(tuple(missing[start : start + n])), None) for start in range(0, len(missing), n)
        ]
        outcomes = await asyncio.gather(
            *(self._run(job, entry, wish) for job, entry in waiting), return_exceptions=True
        )
        failures += [outcome for outcome in outcomes if outcome is not None]
        if failures:
            raise next((one for one in failures if not isinstance(one, Stopped)), failures[0])

    async def _run(self, job: Job, entry: OpenJob | None, wish: Interruption) -> None:
        connection = self._connection(job, entry)
        rank = self._chains.get(job.image.id, 0)
        async with AsyncExitStack() as places:
            if self._jobs:
                await wish.unless(places.enter_async_context(self._jobs))
            await wish.unless(places.enter_async_context(connection.limiter.place(rank)))
            if entry is None:
                await self._worker.generate(job, connection, places.aclose, wish)
            else:
                await self._worker.resume(entry, connection, places.aclose)
            connection.limiter.learn(None)

    def _connection(self, job: Job, entry: OpenJob | None) -> Connection:
        """The provider to ask; for a task of an earlier build, the one that has it."""
        own = self._provider(job.image)
        if entry is None:
            return self._connections.get(own)
        connection = self._connection_of(entry.provider, entry.origin, own)
        if connection is not None:
            return connection
        raise ProviderFailure(
            FailureKind.AMBIGUOUS,
            f"task {entry.task_id} was submitted to {entry.origin}, which no provider of the manifest is",
            remedy=f"configure it again, or give the task up with imgbuild jobs forget {entry.id}",
        )

    def _provider(self, image: Image) -> str:
        return PLACEHOLDER if self._placeholder else image.provider

    def _connection_of(self, type: str, origin: str, first: str) -> Connection | None:
        """The provider of a type at an origin, the one of the name `first` before others."""
        for name in self._connections.of_type(type, first=first):
            url = self._connections.base_url(name)
            if url is not None and origin_of(url) == origin:
                return self._connections.get(name)
        return None


async def _stay() -> None:
    """There is no place to leave: what nobody waits for is fetched beside what is built."""


def _may_be_charged(entry: OpenJob) -> ProviderFailure:
    cost = f", {entry.cost:g} {entry.unit}" if entry.cost and entry.unit else ""
    return ProviderFailure(
        FailureKind.AMBIGUOUS,
        f"may have been charged on {entry.since}{cost}: {entry.reason}",
        remedy="--retry-ambiguous submits it again; imgbuild jobs lists such submissions",
    )
