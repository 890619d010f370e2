"""`imgbuild takes TARGET`: the candidates that an image has, and which one is picked."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.core.events import DataEvent
from imgbuild.ui.spans import Span, line, table
from imgbuild.ui.values import money

if TYPE_CHECKING:
    from imgbuild.run.takes import Take


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("target", metavar="TARGET", help="an id, a name, a glob over ids, or tag:x")


def run(args: argparse.Namespace, context: Context) -> int:
    """List; returns the exit code.

    Raises:
        ImgbuildError: the manifest, the lock or the target is wrong.
    """
    invocation = context.invocation()
    from imgbuild.core.targets import select
    from imgbuild.run.takes import takes_of
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    for image in select([args.target], workspace.project.images):
        takes = takes_of(workspace, image)
        rows = table(_row(image.id, take) for take in takes)
        for take, row in zip(takes, rows, strict=True):
            value = {"id": image.id, **json.loads(json.dumps(asdict(take)))}
            context.display.show(DataEvent("take", value), [row])
        if not takes:
            context.display.note([line(f"{image.id} has no take yet")])
    return 0


def _row(id: str, take: Take) -> list[Span]:
    state = "picked" if take.picked else "" if take.usable else "lost"
    return [
        Span(id, "bold"),
        Span(f"take {take.number}"),
        Span(state, "green" if take.picked else "red"),
        Span(f"{take.width}x{take.height}"),
        Span(take.created, "dim"),
        Span(money(take.cost, take.unit or "USD") if take.cost is not None else "", "dim"),
    ]
