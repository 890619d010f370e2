"""The build: plan, ask, generate what is missing, write outputs, record what was accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from imgbuild.core.errors import BudgetError, LockedError
from imgbuild.core.events import ActionKind, Cause, Emit, SummaryEvent, WarningEvent
from imgbuild.core.jobs import Stage
from imgbuild.core.plan.action import Action, Mode, Plan
from imgbuild.core.plan.chains import chain_lengths
from imgbuild.run.connections import Connections
from imgbuild.run.ending import ending
from imgbuild.run.execute import Executor
from imgbuild.run.fetch import References
from imgbuild.run.generate import Generator
from imgbuild.run.interruption import Interruption
from imgbuild.run.lock_writer import LockWriter
from imgbuild.run.loop import run_loop
from imgbuild.run.open_jobs import settle_all
from imgbuild.run.outputs import Outputs
from imgbuild.run.planning import plan_warnings, plan_workspace
from imgbuild.run.purse import Purse
from imgbuild.run.resolution import PLACEHOLDER
from imgbuild.run.trust import UntrustedError
from imgbuild.run.worker import Worker
from imgbuild.run.workspace import Workspace
from imgbuild.store.workdir import DroppedOutput, Workdir

Confirm = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the command line says about one build."""

    targets: tuple[str, ...] = ()
    locked: bool = False
    offline: bool = False
    overwrite: bool = False
    yes: bool = False
    max_cost: float | None = None
    jobs: int | None = None
    fail_fast: bool = False
    retry_ambiguous: bool = False
    wanted: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Takes asked for by name (`pick`, `reroll`), by id: the first of them becomes the picked one."""

    @property
    def mode(self) -> Mode:
        """How the planner is to look at it."""
        return Mode(
            locked=self.locked, overwrite=self.overwrite, retry=self.retry_ambiguous, wanted=self.wanted
        )


def run_build(
    workspace: Workspace,
    options: BuildOptions,
    emit: Emit,
    confirm: Confirm | None,
    interruption: Interruption | None = None,
) -> int:
    """Build; the last event is the summary. Returns the exit code: 0, 1 (something failed) or 4 (budget).

    `confirm` asks the user a question; None when there is nobody to ask. `interruption` is how the user
    ends it early.

    Raises:
        KeyboardInterrupt: the user has ended it; what is left behind was said.
        LockedError: `locked`, and the manifest has moved on.
        UsageError: a target means nothing; a provider lacks a variable or the user's trust.
        BudgetError: a confirmation was refused, or nobody could be asked.
    """
    began = time.monotonic()
    settle_all(workspace.cache)
    plan = plan_workspace(workspace, options.targets, options.mode)
    if options.locked:
        require_locked(plan)
    elif _submit_unknown_again(plan, confirm):
        options = replace(options, retry_ambiguous=True)
        plan = plan_workspace(workspace, options.targets, options.mode)
    connections = Connections(workspace)
    busy = [action for action in plan.actions if action.kind is not ActionKind.NONE]
    for warning in plan_warnings(workspace, plan):
        emit(warning)
    for action in busy:
        emit(action.event())
    _check_providers(busy, connections, confirm, offline=options.offline)
    purse = _purse(workspace, plan, options)
    _ask(workspace, plan, options, confirm)
    wish = interruption or Interruption()
    try:
        wish.expect()
        summary = run_loop(lambda: _execute(workspace, plan, options, emit, connections, purse, wish))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    if wish.requested:
        raise KeyboardInterrupt
    _remember_dropped(workspace, plan)
    for repaired in workspace.cache.warnings():
        emit(WarningEvent(repaired))
    emit(replace(summary, seconds=round(time.monotonic() - began, 3)))
    if purse.stopped:
        return BudgetError.exit_code
    return 1 if summary.failed or summary.conflicts else 0


def require_locked(plan: Plan) -> None:
    """Hold a plan that was made in locked mode against the lock.

    Raises:
        LockedError: what differs, image by image.
    """
    moved = frozenset({Cause.CHANGED, Cause.NEW, Cause.UNLOCKED, Cause.OUTPUT_MOVED, Cause.DROPPED})
    lines: list[str] = []
    ids: list[str] = []
    for action in plan.actions:
        fields = [reason.field for reason in action.reasons if reason.cause in moved]
        differs = action.kind in (ActionKind.GENERATE, ActionKind.REMOVE) or action.entry != action.previous
        if not fields and (action.blocked or not differs):
            continue
        ids.append(action.id)
        if action.kind is ActionKind.REMOVE:
            lines.append(f"{action.id}: in the lock, not in the manifest")
        elif action.previous is None:
            lines.append(f"{action.id}: in the manifest, not in the lock")
        else:
            lines.append(f"{action.id}: {', '.join(dict.fromkeys(fields)) or 'its outputs'} changed")
    if lines:
        raise LockedError(
            "the manifest and the lock disagree\n" + "\n".join(f"  {line}" for line in lines),
            ids=ids,
            remedy="run imgbuild build where generating is allowed, and commit the lock",
        )


def _check_providers(
    busy: list[Action], connections: Connections, confirm: Confirm | None, *, offline: bool
) -> None:
    """Variables, addresses and trust, before anything is sent to anybody and before any program runs."""
    asked = [action.resolved for action in busy if action.resolved and action.missing]
    names = {
        resolved.image.provider
        for resolved in asked
        if resolved.provider_type != PLACEHOLDER and not (offline and resolved.sends)
    }
    for name in sorted(names):
        try:
            connections.settings(name)
        except UntrustedError as error:
            if confirm is None or not confirm(error.question):
                raise
            error.grant()


def _submit_unknown_again(plan: Plan, confirm: Confirm | None) -> bool:
    """Ask once about everything that may have been charged already; nobody to ask means no."""
    unknown = [job for a in plan.actions for job in a.open_jobs if job.stage is Stage.UNKNOWN]
    if not unknown or confirm is None:
        return False
    costs = (f" ({job.cost:g} {job.unit})" if job.cost and job.unit else "" for job in unknown)
    names = ", ".join(job.image_id + cost for job, cost in zip(unknown, costs, strict=True))
    return confirm(f"May have been charged already: {names}. Submit again?")


def _purse(workspace: Workspace, plan: Plan, options: BuildOptions) -> Purse:
    budget = workspace.project.manifest.budget
    declared = budget.max_cost if budget else None
    most = declared if options.max_cost is None else options.max_cost
    return Purse(most, plan.summary().unit)


def _ask(workspace: Workspace, plan: Plan, options: BuildOptions, confirm: Confirm | None) -> None:
    """What it will cost, to whoever has to agree."""
    summary = plan.summary()
    budget = workspace.project.manifest.budget
    above = budget.confirm_above if budget else None
    if above is None or summary.cost <= above or options.yes:
        return
    amount = f"about {summary.cost:g} {summary.unit} for {summary.generated} images"
    if confirm is None:
        raise BudgetError(f"{amount}: more than confirm_above ({above:g})", remedy="add --yes to agree")
    if not confirm(f"This costs {amount}. Generate?"):
        raise BudgetError(f"not confirmed: {amount}")


async def _execute(
    workspace: Workspace,
    plan: Plan,
    options: BuildOptions,
    emit: Emit,
    connections: Connections,
    purse: Purse,
    interruption: Interruption,
) -> SummaryEvent:
    invocation = workspace.invocation
    chains = chain_lengths(workspace.project.images, workspace.project.order)
    worker = Worker(invocation.root, workspace.cache, purse, interruption, emit)
    generator = Generator(
        invocation.root,
        workspace.cache,
        connections,
        worker,
        interruption,
        emit,
        chains=chains,
        jobs=options.jobs,
        offline=options.offline,
        placeholder=invocation.placeholder,
        retry=options.retry_ambiguous,
    )
    lock = LockWriter(workspace.lock_path, enabled=not (options.locked or invocation.placeholder))
    executor = Executor(
        workspace,
        generator,
        References(workspace.cache, connections, offline=options.offline),
        Outputs(invocation.root, workspace.cache, locked=options.locked),
        lock,
        options.mode,
        interruption,
        emit,
        chains=chains,
        fail_fast=options.fail_fast,
    )
    whole = not (options.targets or options.locked or options.offline or invocation.placeholder)
    try:
        with interruption.attached(), ending(interruption, worker, emit):
            summary = await executor.run(plan, collect=whole)
    finally:
        lock.flush()
        await connections.aclose()
    return replace(
        summary,
        submitted=worker.submitted,
        resumed=worker.resumed,
        cost=round(purse.spent, 6),
        unit=plan.summary().unit,
    )


def _remember_dropped(workspace: Workspace, plan: Plan) -> None:
    """Outputs that nothing names any more: `clean --stale` offers to remove them."""
    if workspace.invocation.placeholder:
        return
    named = {output.path for action in plan.actions if action.resolved for output in action.outputs}
    named |= {image.output for image in workspace.project.images}
    dropped = [
        DroppedOutput(path, output.digest, action.id)
        for action in plan.actions
        if action.previous and action.kind is not ActionKind.CONFLICT
        for path, output in action.previous.outputs.items()
        if path not in named
    ]
    if dropped:
        Workdir(workspace.invocation.root).remember_dropped(dropped)
