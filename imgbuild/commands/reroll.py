"""`imgbuild reroll TARGET`: pay for more takes of the same spec, and pick the first new one."""

from __future__ import annotations

import argparse

from imgbuild.commands.arguments import amount, positive
from imgbuild.commands.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("target", metavar="TARGET", help="an id, a name, a glob over ids, or tag:x")
    parser.add_argument("-n", type=positive, default=1, dest="count", metavar="K", help="how many takes (1)")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that was changed by hand")
    parser.add_argument("--max-cost", type=amount, metavar="X", help="stop before spending more than this")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before spending")


def run(args: argparse.Namespace, context: Context) -> int:
    """Reroll; returns the exit code.

    Raises:
        ImgbuildError: what stops it before anything is sent.
    """
    invocation = context.invocation()
    from imgbuild.core.targets import select
    from imgbuild.run.build import BuildOptions
    from imgbuild.run.choose import reroll
    from imgbuild.run.workplace import declared_fleet
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    images = select([args.target], workspace.project.images)
    options = BuildOptions(
        overwrite=args.overwrite,
        yes=args.yes,
        max_cost=args.max_cost,
        fleet=declared_fleet(workspace),
    )
    display = context.display
    confirm = display.ask if display.can_ask else None
    return reroll(workspace, images, args.count, options, display.handle, confirm, context.interruption)
