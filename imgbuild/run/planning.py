"""From a workspace to a plan: the same code for `plan`, `build` and `explain`."""

from __future__ import annotations

from collections.abc import Sequence

from imgbuild.core.events import WarningEvent
from imgbuild.core.plan.action import Mode, Plan
from imgbuild.core.plan.planner import make_plan
from imgbuild.core.targets import select, with_references
from imgbuild.run.workspace import Workspace


def plan_workspace(workspace: Workspace, targets: Sequence[str] = (), mode: Mode | None = None) -> Plan:
    """What a build of these targets would do. Reads the disk and the cache, changes nothing.

    Raises:
        UsageError: a target that means no image.
    """
    images = workspace.project.images
    chosen = {image.id for image in with_references(select(targets, images), images)}
    resolved = [one for one in workspace.resolved if one.image.id in chosen]
    facts = workspace.facts()
    return make_plan(
        resolved,
        workspace.project.order,
        workspace.lock,
        facts,
        mode or Mode(),
        whole=not targets,
        disabled=workspace.project.disabled,
    )


def plan_warnings(workspace: Workspace, plan: Plan) -> tuple[WarningEvent, ...]:
    """What to know about a plan before agreeing to it."""
    unknown = [action.id for action in plan.actions if action.cost is None]
    messages = list(workspace.project.warnings)
    if unknown:
        what = f"{unknown[0]} has" if len(unknown) == 1 else f"{len(unknown)} images have"
        messages.append(f"{what} no known price, which counts as 0; `pricing` under the provider tells it")
    return tuple(WarningEvent(message) for message in messages)
