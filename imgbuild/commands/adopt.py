"""`imgbuild adopt TARGET [FILE]`: accept a person's file as the image."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from imgbuild.commands.arguments import one_image
from imgbuild.commands.context import Context
from imgbuild.core.events import DataEvent, to_json
from imgbuild.ui.spans import Line, Span, line

if TYPE_CHECKING:
    from imgbuild.run.adopt import Adopted


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("target", metavar="TARGET", help="one image: its id, name or an output's path")
    parser.add_argument(
        "source",
        nargs="?",
        metavar="FILE",
        help="the new source, from which the outputs are derived; without it the outputs stay as they are",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that were changed by hand")


def run(args: argparse.Namespace, context: Context) -> int:
    """Adopt; returns the exit code.

    Raises:
        UsageError: the target means several images, or there is no file that could be adopted.
        ImgbuildError: the file is no picture, or something cannot be read or written.
    """
    invocation = context.invocation()
    from imgbuild.run.adopt import adopt_file, adopt_outputs
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    image = one_image(args.target, workspace.project.images)
    display = context.display

    def announce(adopted: Adopted) -> None:
        value = to_json(asdict(adopted))
        display.show(DataEvent("adopted", value), [_line(adopted)])

    if args.source is not None:
        file = context.folder / args.source
        return adopt_file(workspace, image, file, announce, display.handle, overwrite=args.overwrite)
    path = args.target.removeprefix("./")
    files = {image.output, *(file.path for file in image.derive)}
    return adopt_outputs(workspace, image, path if path in files else None, announce, display.handle)


def _line(adopted: Adopted) -> Line:
    name = Span(adopted.id, "bold")
    if not adopted.files:
        return line(name, " has no file that was changed: nothing to adopt")
    what = ", ".join(adopted.files)
    if adopted.as_source:
        return line("adopted ", what, f" as take {adopted.take} of ", name)
    take = f", as take {adopted.take}" if adopted.take is not None else ""
    return line("adopted ", what, " as it is for ", name, take)
