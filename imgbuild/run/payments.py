"""What is being paid for in this process: each take of a key once, apart from the images that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from imgbuild.core.errors import FailureKind, ImgbuildError, ProviderFailure
from imgbuild.run.connections import Connection
from imgbuild.run.interruption import Branch, Interruption, Stopped

Claim = tuple[str, int]
"""A key, and the number of a take."""

_FINAL = frozenset({FailureKind.REFUSED, FailureKind.INVALID, FailureKind.FAILED})
"""What the same request would meet again: in one run it is not sent twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Payment:
    """Missing takes of one key on their way into the cache, for every image that wants them.

    A task of its own: an image that stops waiting ends no payment that others may wait for.
    """

    claims: Collection[Claim]
    connection: Connection
    wish: Branch
    """How it is taken back, as far as nothing was sent yet."""
    task: asyncio.Task[ImgbuildError | None]
    """Gives what it failed for."""

    async def end(self) -> ImgbuildError | None:
        """Wait for it; returns what it failed for."""
        return await asyncio.shield(self.task)

    @property
    def is_final(self) -> bool:
        """It has failed, and there is no use in trying again."""
        failure = self.task.result() if self.task.done() else None
        return isinstance(failure, ProviderFailure) and failure.kind in _FINAL


class Payments:
    """All payments of one process, as long as it lives."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption
        self._claims: dict[Claim, Payment] = {}
        self._open: set[Payment] = set()

    def of(self, claim: Claim, connection: Connection) -> Payment | None:
        """Who pays for a take already, or has failed at it; at another service it may be tried still."""
        payment = self._claims.get(claim)
        if payment is None or (payment.task.done() and payment.connection is not connection):
            return None
        return payment

    def begin(
        self,
        claims: Collection[Claim],
        connection: Connection,
        pay: Callable[[Branch], Coroutine[Any, Any, ImgbuildError | None]],
    ) -> Payment:
        """Have `pay` done, which returns what it failed for. Nobody else may have one of the claims."""
        wish = self._interruption.branch()
        payment = Payment(claims, connection, wish, asyncio.create_task(pay(wish)))
        self._claims.update(dict.fromkeys(claims, payment))
        self._open.add(payment)
        payment.task.add_done_callback(lambda _: self._ended(payment))
        return payment

    def turn_to(self, wanted: Collection[Claim]) -> None:
        """Go on for another plan: what it does not want is not sent any more; what was sent arrives.

        What failed may be tried again, unless the answer would be the same.
        """
        for payment in {*self._claims.values()}:
            if payment.task.done() and not payment.is_final:
                self._forget(payment)
            elif not payment.task.done() and not all(claim in wanted for claim in payment.claims):
                payment.wish.end()

    def are_open(self, claims: Collection[Claim]) -> bool:
        """Whether somebody is just paying for all of these."""
        payments = [self._claims.get(claim) for claim in claims]
        return all(payment is not None and not payment.task.done() for payment in payments)

    async def drain(self) -> None:
        """Wait until nothing is being paid for."""
        while self._open:
            await asyncio.gather(*(payment.task for payment in self._open))

    async def aclose(self) -> None:
        """Let go of what is still being paid for: the journal knows of it."""
        tasks = [payment.task for payment in self._open]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, payment: Payment) -> None:
        if payment.task.cancelled() or payment.task.exception():
            # A bug: told to whoever waits, and where nobody does, by `drain`.
            return
        self._open.discard(payment)
        if isinstance(payment.task.result(), Stopped):
            self._forget(payment)

    def _forget(self, payment: Payment) -> None:
        for claim in payment.claims:
            if self._claims.get(claim) is payment:
                del self._claims[claim]
