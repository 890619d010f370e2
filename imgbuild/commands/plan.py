"""`imgbuild plan`: what build would do, why, and what it costs."""

from __future__ import annotations

import argparse
from typing import TextIO

from imgbuild.commands.arguments import add_targets
from imgbuild.commands.context import Context
from imgbuild.commands.summary import add_summary, summary_file
from imgbuild.core.errors import ImgbuildError
from imgbuild.run.collector import collector_paused

OUT_OF_DATE = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    add_targets(parser)
    add_summary(parser)
    parser.add_argument("--exit-code", action="store_true", help="exit with 3 when there is something to do")
    parser.add_argument("--locked", action="store_true", help="plan for build --locked")
    parser.add_argument("--overwrite", action="store_true", help="plan for build --overwrite")
    parser.add_argument("--placeholder", action="store_true", help="plan for build --placeholder")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print the plan; returns the exit code."""
    return show_plan(args, context, locked=args.locked, exit_code=args.exit_code)


@collector_paused()
def show_plan(args: argparse.Namespace, context: Context, *, locked: bool, exit_code: bool) -> int:
    """Print the plan for options that `plan` and `build --dry-run` share.

    Raises:
        ImgbuildError: the manifest, the lock or a target is wrong.
    """
    if args.summary is None:
        return _show(args, context, None, locked=locked, exit_code=exit_code)
    with summary_file(context, args.summary) as file:
        try:
            return _show(args, context, file, locked=locked, exit_code=exit_code)
        except ImgbuildError as error:
            from imgbuild.ui.report import failure_report

            file.write(failure_report(error))
            raise


def _show(
    args: argparse.Namespace, context: Context, file: TextIO | None, *, locked: bool, exit_code: bool
) -> int:
    invocation = context.invocation(placeholder=args.placeholder)
    from imgbuild.core.plan.action import Mode
    from imgbuild.run.planning import plan_warnings, plan_workspace
    from imgbuild.run.unfamiliar import unfamiliar
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    plan = plan_workspace(workspace, args.targets, Mode(locked=locked, overwrite=args.overwrite))
    events = [action.event() for action in (*plan.actions, *plan.collected)]
    new = unfamiliar(invocation, workspace.project, workspace.types)
    warnings = (*new, *plan_warnings(workspace, plan))
    context.display.plan(events, warnings, plan.summary())
    if file is not None:
        from imgbuild.ui.report import plan_report

        file.write(plan_report(events, warnings, plan.summary()))
    return OUT_OF_DATE if exit_code and not plan.idle else 0
