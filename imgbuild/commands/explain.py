"""`imgbuild explain TARGET`: field by field, what was and what is, and every reason."""

from __future__ import annotations

import argparse

from imgbuild.commands.context import Context
from imgbuild.ui.spans import Line, Span, line
from imgbuild.ui.words import action_lines


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "target", metavar="TARGET", help="an id, a name, a glob over ids, tag:x, or an output's path"
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Explain; returns the exit code.

    Raises:
        ImgbuildError: the manifest, the lock or the target is wrong.
    """
    invocation = context.invocation()
    from imgbuild.core.targets import select
    from imgbuild.run.planning import plan_workspace
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    meant = {image.id for image in select([args.target], workspace.project.images)}
    for action in plan_workspace(workspace, [args.target]).actions:
        if action.id not in meant:
            continue
        event = action.event()
        lines = action_lines(event, full=True) + _key(
            action.keys.current if action.keys else None, action.take
        )
        context.display.show(event, lines)
    return 0


def _key(key: str | None, take: int) -> list[Line]:
    return [line("    ", Span(f"key {key}, take {take}" if key else "key not known yet", "dim"))]
