"""`imgbuild pick TARGET K`: make take K of an image the accepted one."""

from __future__ import annotations

import argparse

from imgbuild.commands.arguments import positive
from imgbuild.commands.context import Context
from imgbuild.core.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("target", metavar="TARGET", help="one image: its id, name or output")
    parser.add_argument("take", type=positive, metavar="K", help="the take's number, as `takes` lists it")


def run(args: argparse.Namespace, context: Context) -> int:
    """Pick; returns the exit code.

    Raises:
        UsageError: the target means several images, or there is no such take.
    """
    invocation = context.invocation()
    from imgbuild.core.targets import select
    from imgbuild.run.takes import pick
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    images = select([args.target], workspace.project.images)
    if len(images) > 1:
        several = ", ".join(image.id for image in images[:4])
        raise UsageError(f'"{args.target}" means {len(images)} images: {several} ...', remedy="name one")
    return pick(workspace, images[0], args.take, context.display.handle)
