"""Where a session pays: one purse, one set of connections, each key once, for as long as it lives."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

from imgbuild.core.events import ActionEvent, Emit
from imgbuild.core.plan.action import Action
from imgbuild.core.plan.chains import chain_lengths
from imgbuild.core.plan.consent import claims_wanted
from imgbuild.run.connections import Connections
from imgbuild.run.generate import Generator
from imgbuild.run.interruption import Interruption, Stopped
from imgbuild.run.payments import Claim
from imgbuild.run.purse import Purse
from imgbuild.run.worker import Worker
from imgbuild.run.workspace import Workspace


class Office:
    """Rounds come and go; what they have sent stays here until it has arrived."""

    def __init__(self, workspace: Workspace, purse: Purse, interruption: Interruption, emit: Emit) -> None:
        invocation, cache = workspace.invocation, workspace.cache
        self.cache = cache
        self.purse = purse
        self.connections = Connections(workspace)
        self.worker = Worker(invocation.root, cache, purse, interruption, emit)
        self.generator = Generator(
            invocation.root,
            cache,
            self.connections,
            self.worker,
            interruption,
            emit,
            chains={},
            jobs=None,
            offline=False,
            placeholder=invocation.placeholder,
            retry=False,
            claims=workspace.shared.claims if workspace.shared else None,
        )
        self._collecting: asyncio.Task[None] | None = None

    def turn_to(self, workspace: Workspace, wanted: Collection[Claim]) -> None:
        """Go on for another state of the project: what it does not want is not sent any more."""
        project = workspace.project
        self.connections.turn_to(workspace)
        self.generator.turn_to(wanted, chain_lengths(project.images, project.order))

    def event(self, action: Action) -> ActionEvent:
        """An action as it is told: what the journal has of a job that is just under way is no news."""
        event = action.event()
        under_way = action.open_jobs and self.generator.is_paying(claims_wanted(action))
        return replace(event, notes=("it is on its way",)) if under_way else event

    def collect(self, needed: Collection[str]) -> None:
        """Fetch what earlier builds paid for and no image asks for, beside all else: once a session."""
        if self._collecting is None:
            self._collecting = asyncio.create_task(self._collect(needed))

    async def drain(self) -> None:
        """Wait for all that is being paid for."""
        await self.generator.drain()
        if self._collecting is not None:
            await self._collecting

    async def aclose(self) -> None:
        """Let go of everything; the journal knows of it."""
        await self.generator.aclose()
        if self._collecting is not None:
            self._collecting.cancel()
            await asyncio.gather(self._collecting, return_exceptions=True)
        await self.connections.aclose()

    async def _collect(self, needed: Collection[str]) -> None:
        with suppress(Stopped):
            await self.generator.collect(needed)
