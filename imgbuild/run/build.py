"""The build: plan, ask, generate what is missing, write outputs, record what was accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from imgbuild.core.errors import BudgetError, Diagnostic, LockedError, UsageError
from imgbuild.core.events import ActionKind, Cause, Emit, Status, SummaryEvent, WarningEvent
from imgbuild.core.jobs import Stage
from imgbuild.core.lock import LockedImage
from imgbuild.core.plan.action import Action, Mode, Plan
from imgbuild.core.plan.chains import chain_lengths
from imgbuild.core.plan.outputs import files_of
from imgbuild.run.collected import Collected
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
from imgbuild.run.signing import Signer
from imgbuild.run.trust import UntrustedError, is_fleet_trusted, trust_fleet
from imgbuild.run.worker import Worker
from imgbuild.run.workplace import NamedFleet, opened
from imgbuild.run.workspace import Workspace
from imgbuild.store.workdir import DroppedOutput, Workdir

Confirm = Callable[[str], bool]

_OUT_OF_DATE = "run imgbuild build where generating is allowed, and commit the lock"


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
    programs: bool = True
    """Providers may run programs: on a machine that builds what others propose, only if it is told to."""
    fleet: NamedFleet | None = None
    """The machines that do what is free; None: this one."""
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
        UsageError: a target means nothing; a provider lacks a variable or the user's trust; what has to be
            signed cannot be.
        BudgetError: a confirmation was refused, or nobody could be asked.
    """
    try:
        return _build(workspace, options, emit, confirm, interruption)
    finally:
        if workspace.shared is not None:
            workspace.shared.close()


def _build(
    workspace: Workspace,
    options: BuildOptions,
    emit: Emit,
    confirm: Confirm | None,
    interruption: Interruption | None,
) -> int:
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
    for action in (*busy, *(one for one in plan.collected if one.kind is not ActionKind.NONE)):
        emit(action.event())
    if not options.programs:
        refuse_programs(busy, connections)
    check_providers(busy, connections, confirm, offline=options.offline)
    signer = Signer(workspace)
    if not options.locked:
        signer.expect(busy)
    purse = _purse(workspace, plan, options)
    fleet = options.fleet if _has_work(plan) else None
    if fleet is not None:
        check_fleet(fleet, workspace, confirm)
    wish = interruption or Interruption()
    with opened(fleet, workspace, wish, emit) as workplace:
        _ask(workspace, plan, options, confirm)
        connections.workplace = workplace
        try:
            wish.expect()
            summary, accepted = run_loop(
                lambda: _execute(workspace, plan, options, emit, connections, signer, purse, wish)
            )
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
    if wish.requested:
        raise KeyboardInterrupt
    remember_dropped(workspace, plan, accepted)
    if not options.targets:
        summary = bring_collected(workspace, plan, accepted, summary, emit, overwrite=options.overwrite)
    for words in (*workspace.cache.warnings(), *(workspace.shared.finish() if workspace.shared else ())):
        emit(WarningEvent(words))
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
    diagnostics: list[Diagnostic] = []
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
        place = action.image.origin.place(fields[0] if fields else "output") if action.image else None
        diagnostics.append(Diagnostic(lines[-1], place.position if place else None, hint=_OUT_OF_DATE))
    if lines:
        raise LockedError(
            "the manifest and the lock disagree\n" + "\n".join(f"  {line}" for line in lines),
            ids=ids,
            diagnostics=diagnostics,
            remedy=_OUT_OF_DATE,
        )


def refuse_programs(busy: list[Action], connections: Connections) -> None:
    """Run nobody's program.

    Raises:
        UsageError: an image would need one.
    """
    for action in busy:
        if action.resolved and action.missing and connections.runs_program(action.resolved):
            raise UsageError(
                f'provider "{action.resolved.image.provider}" runs a program, and CI=true forbids it',
                remedy="add --allow-command if everybody who can change the manifest may run programs here",
            )


def check_providers(
    busy: list[Action], connections: Connections, confirm: Confirm | None, *, offline: bool
) -> None:
    """Variables, addresses and trust, before anything is sent to anybody and before any program runs.

    Raises:
        UntrustedError: an address or a program is not trusted, and nobody says that it is.
        UsageError: a variable is missing.
    """
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


def check_fleet(fleet: NamedFleet, workspace: Workspace, confirm: Confirm | None) -> None:
    """Send nothing to a scheduler that only the manifest names.

    Raises:
        UntrustedError: the user has not agreed to it, and nobody does so now.
    """
    if fleet.by_user or is_fleet_trusted(fleet.address, workspace.invocation.environ):
        return
    error = UntrustedError(
        f"the manifest sends work to the Dask scheduler at {fleet.address}, which you have not trusted yet",
        f"build with --dask {fleet.address}, or with --dask none to work here; "
        "IMGBUILD_TRUSTED_ORIGINS may name it as well",
        f"May {fleet.address} be sent the work of this project, now and later?",
        partial(trust_fleet, fleet.address),
    )
    if confirm is None or not confirm(error.question):
        raise error
    error.grant()


def _has_work(plan: Plan) -> bool:
    """Whether there is anything that a fleet could do."""
    return any(action.kind in (ActionKind.GENERATE, ActionKind.DERIVE) for action in plan.actions)


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
    signer: Signer,
    purse: Purse,
    interruption: Interruption,
) -> tuple[SummaryEvent, Mapping[str, LockedImage]]:
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
        claims=workspace.shared.claims if workspace.shared else None,
    )
    lock = LockWriter(workspace.lock_path, enabled=not (options.locked or invocation.placeholder))
    executor = Executor(
        workspace,
        generator,
        References(workspace.cache, connections, offline=options.offline),
        Outputs(
            invocation.root,
            workspace.cache,
            locked=options.locked,
            signer=signer,
            workplace=connections.workplace,
        ),
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
        await generator.aclose()
        lock.flush()
        await connections.aclose()
    summary = replace(
        summary,
        submitted=worker.submitted,
        resumed=worker.resumed,
        cost=round(purse.spent, 6),
        unit=plan.summary().unit,
    )
    return summary, executor.accepted


def bring_collected(
    workspace: Workspace,
    plan: Plan,
    accepted: Mapping[str, LockedImage],
    summary: SummaryEvent,
    emit: Emit,
    *,
    overwrite: bool = False,
) -> SummaryEvent:
    """Bring what is made of several images up to date; an image that failed is there as it was before."""
    collected = Collected(workspace, overwrite=overwrite)
    counts = collected.bring(plan.collected, {**workspace.lock.images, **accepted}, emit)
    return replace(
        summary,
        derived=summary.derived + counts.get(Status.DERIVED, 0),
        failed=summary.failed + counts.get(Status.FAILED, 0),
        conflicts=summary.conflicts + counts.get(Status.CONFLICT, 0),
    )


def remember_dropped(workspace: Workspace, plan: Plan, accepted: Mapping[str, LockedImage]) -> None:
    """Outputs that nothing names any more: `clean --stale` offers to remove them."""
    if workspace.invocation.placeholder:
        return
    named = {file.path for image in workspace.project.images for file in files_of(image)}
    named |= {path for entry in accepted.values() for path in entry.outputs}
    dropped = [
        DroppedOutput(path, output.digest, action.id)
        for action in plan.actions
        if action.previous and (action.kind is ActionKind.REMOVE or action.id in accepted)
        for path, output in action.previous.outputs.items()
        if path not in named
    ]
    if dropped:
        Workdir(workspace.invocation.root).remember_dropped(dropped)
