"""`imgbuild pick TARGET K`: make take K of an image the accepted one."""

from __future__ import annotations

import argparse

from imgbuild.commands.arguments import one_image, positive
from imgbuild.commands.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("target", metavar="TARGET", help="one image: its id, name or an output's path")
    parser.add_argument(
        "take",
        type=_take,
        metavar="K",
        help="the take's number, or the handle of any result such as 3f2a9c.2, as `takes --all` lists them",
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Pick; returns the exit code.

    Raises:
        UsageError: the target means several images, or there is no such take.
    """
    invocation = context.invocation()
    from imgbuild.run.choose import pick, pick_result
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    image = one_image(args.target, workspace.project.images)
    if isinstance(args.take, int):
        return pick(workspace, image, args.take, context.display.handle)
    return pick_result(workspace, image, args.take, context.display.handle)


def _take(text: str) -> int | str:
    return text if "." in text and not text.startswith("-") else positive(text)
