"""A session that watches: it builds at the start, and again whenever something that decides was changed.

What lies on the disk is one thing, what is being paid for another, and they meet in rounds. A round is a plan
and its execution, for the files as they were at one moment. A change ends the round that is under way: what
is being written gets written, whatever waits is given up, and the next round plans anew. What was sent to a
service is not part of any round: it belongs to the `Office`, arrives in the cache whatever becomes of its
image, and an image of a later round that needs the same key waits for it instead of sending it again. What is
only queued is taken back unless the new plan wants it as well.

While the manifest or the lock is broken there is no new round, and the last one goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from imgbuild.core.errors import ImgbuildError, LockfileError, ManifestError
from imgbuild.core.events import ActionKind, Event, JobEvent, WarningEvent
from imgbuild.core.plan.action import Plan
from imgbuild.core.plan.consent import Consent, beyond_limit, wanted_by
from imgbuild.run.build import check_providers
from imgbuild.run.ending import ending
from imgbuild.run.interruption import Interruption, Stopped
from imgbuild.run.loop import run_loop
from imgbuild.run.observed import Observed
from imgbuild.run.planning import plan_warnings
from imgbuild.run.purse import Purse
from imgbuild.run.signing import Signer
from imgbuild.run.trust import UntrustedError
from imgbuild.run.watching.audience import Audience, WatchOptions
from imgbuild.run.watching.expected import Expected
from imgbuild.run.watching.notice import Notice
from imgbuild.run.watching.office import Office
from imgbuild.run.watching.others import Others
from imgbuild.run.watching.question import Question
from imgbuild.run.watching.reading import Reader, files_read
from imgbuild.run.watching.round import Round
from imgbuild.run.watching.sums import Since
from imgbuild.run.workspace import Invocation, Workspace, cache_dir
from imgbuild.store.index import NO_DIGEST

_SECOND_THOUGHTS = 0.4
"""Seconds without a further change before an error is told: until then it may be that of half a save."""
_FOREIGN = b""
"""In place of a digest: somebody else has written, and it has to be looked at."""


def run_watch(
    invocation: Invocation, options: WatchOptions, audience: Audience, interruption: Interruption
) -> None:
    """Watch until the user ends it.

    Raises:
        KeyboardInterrupt: the user has ended it; what is left behind was said.
        UsageError: a target means nothing at the start, or a provider lacks a variable or the user's trust.
        StorageError: the cache cannot be used.
    """
    interruption.expect()
    session = Session(invocation, options, audience, interruption)
    with suppress(asyncio.CancelledError):
        run_loop(session.run)
    raise KeyboardInterrupt


class Session:
    """The state of one session, and what is to be done next."""

    def __init__(
        self, invocation: Invocation, options: WatchOptions, audience: Audience, interruption: Interruption
    ) -> None:
        self._invocation = invocation
        self._options = options
        self._audience = audience
        self._interruption = interruption
        self._consent = Consent(options.yes)
        self._wake = asyncio.Event()
        self._stack = AsyncExitStack()
        self._notice = Notice(self._wake.set, self._tell_polling)
        self._reader = Reader(invocation, options.targets)
        self._expected = Expected(invocation.root)
        self._office: Office | None = None
        self._round: Round | None = None
        self._question: Question | None = None
        self._to_ask: tuple[str, Callable[[bool], None]] | None = None
        self._due = True
        self._begun = False
        self._told: str | None = None
        self._warned: set[str] = set()
        self._other_cache: Path | None = None
        self._files: int | None = None
        self._since = Since()
        self._lock_digest = NO_DIGEST
        """The lock's, when it was last looked at."""
        self.others = Others(invocation.root)

    @property
    def purse(self) -> Purse | None:
        """What the session may spend, and has spent; None before the first plan."""
        return self._office.purse if self._office else None

    async def run(self) -> None:
        """Watch until the user asks to end, then wait for what is being paid for."""
        asked = asyncio.ensure_future(self._interruption.wait())
        asked.add_done_callback(lambda _: self._wake.set())
        async with self._stack as stack:
            stack.push_async_callback(self._aclose)
            stack.enter_context(self._interruption.attached())
            try:
                with suppress(Stopped):
                    await self._watch()
                await self._finish()
            finally:
                asked.cancel()

    async def _watch(self) -> None:
        while not self._interruption.requested:
            self._wake.clear()
            await self._step()
            await self._notice.follow(self._expected.folders())
            await self._wake.wait()

    async def _step(self) -> None:
        if self._question is not None and self._question.is_answered:
            answered, self._question = self._question, None
            answered.take()
        if self._round is not None and self._round.is_over:
            await self._conclude(self._round)
        changed = self._changed()
        if changed or self._due:
            self._due = False
            await self._turn(changed)

    def _changed(self) -> list[str]:
        """What was changed by others. While a round writes outputs, they are not looked at."""
        digests = None
        if self._round is not None:
            digests = {self._lock_digest, *self._round.lock_digests}
        return self._expected.changed(self._reader.lock, digests)

    async def _turn(self, changed: Sequence[str]) -> None:
        """Plan anew, and begin a round with what was found."""
        await self.others.done(self._interruption)
        if self._question is not None:
            self._question.withdraw()
            self._question = None
        self._to_ask = None
        observed = self._reader.observe()
        try:
            loaded = await asyncio.to_thread(self._reader.load, observed)
            await self._supersede()
            workspace, plan = await asyncio.to_thread(self._reader.plan, loaded)
            await self._begin(workspace, plan, changed)
        except ImgbuildError as error:
            self._look_after(observed)
            question = error.question if isinstance(error, UntrustedError) and self._audience.can_ask else ""
            if not (self._begun or question or isinstance(error, ManifestError | LockfileError)):
                raise
            if not (changed and await self._is_changing()):
                self._tell_broken(error, question)

    async def _begin(self, workspace: Workspace, plan: Plan, changed: Sequence[str]) -> None:
        office = self._office_for(workspace)
        made = {output.path for action in (*plan.actions, *plan.collected) for output in action.outputs}
        self._look_after(workspace.observed, made, files_read(workspace))
        budget = workspace.project.manifest.budget
        above = budget.confirm_above if budget else None
        self._consent, verdict = self._consent.weigh(plan, above, self._audience.can_ask)
        held, told = verdict.held, verdict.told
        if office.purse.stopped:
            limited = beyond_limit(plan, held, office.purse.allows)
            held, told = limited.held, limited.told or told
        agreed = replace(plan, actions=tuple(action for action in plan.actions if action.id not in held))
        office.turn_to(workspace, wanted_by(agreed))
        busy = [action for action in plan.actions if action.kind is not ActionKind.NONE]
        self._audience.changed(changed)
        for warning in plan_warnings(workspace, plan):
            if warning.message not in self._warned:
                self._warned.add(warning.message)
                self._audience.emit(warning)
        for action in (*busy, *(one for one in plan.collected if one.kind is not ActionKind.NONE)):
            self._audience.emit(office.event(action))
        sent = [action for action in busy if action.id not in held]
        check_providers(sent, office.connections, None, offline=False)
        signer = Signer(workspace)
        await asyncio.to_thread(signer.expect, sent)
        if told and told != self._told:
            self._audience.emit(WarningEvent(told))
        self._told = told
        self._to_ask = (verdict.question, partial(self._agree, plan)) if verdict.question else None
        if self._to_ask and all(action.idle for action in agreed.actions):
            self._ask(*self._to_ask)
            return
        self._round = Round(
            workspace,
            agreed,
            office,
            signer,
            self._interruption,
            self._audience.emit,
            lock_digest=self._lock_digest,
            held=len(held),
            whole=not self._options.targets,
            quiet=self._begun,
            on_end=self._wake.set,
        )
        self._begun = True
        if not (self._options.targets or self._invocation.placeholder):
            office.collect({action.keys.current for action in busy if action.keys})

    def _office_for(self, workspace: Workspace) -> Office:
        """The session's office, with the limit that holds by now."""
        budget = workspace.project.manifest.budget
        declared = budget.max_cost if budget else None
        most = declared if self._options.max_cost is None else self._options.max_cost
        unit = next((one.unit for one in workspace.resolved if one.sends), "USD")
        if self._office is None:
            purse = Purse(most, unit)
            self._office = Office(workspace, purse, self._interruption, self._emit)
            self._stack.enter_context(ending(self._interruption, self._office.worker, self._audience.emit))
        root = cache_dir(self._invocation, workspace.project)
        if root not in (self._office.cache.root, self._other_cache):
            self._other_cache = root
            words = (
                f"cache.dir: {root} is used when watch is started again; until then {self._office.cache.root}"
            )
            self._audience.emit(WarningEvent(words))
        purse = self._office.purse
        if most != purse.most:
            purse.most, purse.stopped = most, False
        purse.unit = unit
        return self._office

    def _look_after(self, observed: Observed, made: Collection[str] = (), read: Collection[str] = ()) -> None:
        """From here on, whatever is not as it was noted is a change.

        `made`: what rounds write. `read`: those of them that decide about images, too.
        """
        self._expected.take(observed, made, read)
        self._lock_digest = self._reader.lock_digest(observed)
        self._reader.remember(observed)

    async def _supersede(self) -> None:
        """End the round that is under way; what it has sent goes on."""
        if self._round is None:
            return
        under_way, self._round = self._round, None
        self._since = self._since.plus(await under_way.supersede())

    async def _conclude(self, done: Round) -> None:
        """A round has come to its end by itself."""
        self._round = None
        assert self._office is not None
        try:
            summary = await done.end()
            self._expected.expect_outputs(done.outputs(), done.workspace.observed)
        except ImgbuildError as error:
            self._audience.error(error)
            return
        if done.lock_digests:
            self._lock_digest = done.lock_left() or _FOREIGN
            self._expected.expect(self._reader.lock, self._lock_digest)
        self._reader.remember(done.workspace.observed)
        shared = self._reader.shared
        for words in (*self._office.cache.warnings(), *(shared.shared.warnings() if shared else ())):
            self._audience.emit(WarningEvent(words))
        self._audience.emit(self._since.total(summary, self._office))
        self._since = Since.now(self._office)
        if self._to_ask:
            # Not before: what was going on would have written over the question.
            self._ask(*self._to_ask)
        elif self._expected.count != self._files:
            self._files = self._expected.count
            self._audience.watching(self._files)

    def _emit(self, event: Event) -> None:
        """What the office tells. How a job stands is of interest as long as an image waits for it."""
        if isinstance(event, JobEvent) and not (self._round and event.id in self._round.busy):
            return
        self._audience.emit(event)

    async def _is_changing(self) -> bool:
        """Whether more is changed within a moment: what is wrong may be half of a save then."""
        await self._notice.follow(self._expected.folders())
        deadline = time.monotonic() + _SECOND_THOUGHTS
        while (left := deadline - time.monotonic()) > 0 and not self._interruption.requested:
            if self._changed():
                self._due = True
                break
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left)
        # It may have been something else that happened meanwhile.
        self._wake.set()
        return self._due

    def _tell_broken(self, error: ImgbuildError, question: str) -> None:
        if not (question and isinstance(error, UntrustedError)):
            self._audience.error(error)
            return

        def trust(yes: bool) -> None:
            if yes:
                error.grant()
                self._due = True
            else:
                self._audience.error(error)

        self._ask(question, trust)

    def _ask(self, question: str, act: Callable[[bool], None]) -> None:
        self._question = Question(self._audience.ask(question), act, self._wake.set)

    def _agree(self, plan: Plan, yes: bool) -> None:
        self._consent = self._consent.answer(plan, yes)
        self._due = True

    def _tell_polling(self, reason: str) -> None:
        self._audience.emit(
            WarningEvent(f"the system tells of no changes ({reason}): looking for them instead")
        )

    async def _finish(self) -> None:
        """The user has asked to end: what is being paid for arrives, and is written down."""
        if self._question is not None:
            self._question.withdraw()
        await self._notice.aclose()
        if self._round is not None:
            await self._round.end()
        if self._office is not None:
            await self._office.drain()
        if self._reader.shared is not None:
            for words in await asyncio.to_thread(self._reader.shared.finish):
                self._audience.emit(WarningEvent(words))

    async def _aclose(self) -> None:
        await self._notice.aclose()
        if self._question is not None:
            self._question.withdraw()
        if self._round is not None:
            await self._round.aclose()
        if self._office is not None:
            await self._office.aclose()
        if self._reader.shared is not None:
            self._reader.shared.close()
