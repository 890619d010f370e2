"""`imgbuild list`: one line an image, the id first."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.core.events import ActionKind, DataEvent
from imgbuild.core.image import Json
from imgbuild.ui.spans import Span, table
from imgbuild.ui.words import SIGNS

if TYPE_CHECKING:
    from imgbuild.core.plan.action import Action

_STATUS: Mapping[ActionKind, str] = {
    ActionKind.NONE: "up to date",
    ActionKind.GENERATE: "to generate",
    ActionKind.DERIVE: "to derive",
    ActionKind.RESTORE: "to restore",
    ActionKind.CONFLICT: "conflict",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these images")
    parser.add_argument("--status", action="store_true", help="say what a build would do for each image")


def run(args: argparse.Namespace, context: Context) -> int:
    """List; returns the exit code.

    Raises:
        ImgbuildError: the manifest, the lock or a target is wrong.
    """
    invocation = context.invocation()
    from imgbuild.core.targets import select
    from imgbuild.run.planning import plan_workspace
    from imgbuild.run.workspace import load, open_workspace

    actions: Mapping[str, Action] = {}
    if args.status:
        workspace = open_workspace(invocation)
        project = workspace.project
        actions = {action.id: action for action in plan_workspace(workspace, args.targets).actions}
    else:
        project = load(invocation).project
    chosen = select(args.targets, project.images)
    rows = table(
        [Span(image.id, "bold"), *_status(actions.get(image.id)), Span(image.output, "dim")]
        for image in chosen
    )
    for image, row in zip(chosen, rows, strict=True):
        facts: dict[str, Json] = {
            "id": image.id,
            "output": image.output,
            "provider": image.provider,
            "tags": list(image.tags),
        }
        action = actions.get(image.id)
        if action is not None:
            facts |= {"status": action.kind.value, "blocked": action.blocked}
        context.display.show(DataEvent("image", facts), [row])
    return 0


def _status(action: Action | None) -> list[Span]:
    if action is None:
        return []
    if action.blocked is not None:
        return [Span("lost", "bold red")]
    return [Span(_STATUS[action.kind], SIGNS[action.kind].style)]
