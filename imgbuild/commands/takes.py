"""`imgbuild takes TARGET`: the candidates that an image has, and which one is picked."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.commands.preview import Preview, add_preview
from imgbuild.core.events import DataEvent, to_json
from imgbuild.ui.spans import Line, Span, clip, line, table
from imgbuild.ui.values import both_shown, money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgbuild.core.image import Image
    from imgbuild.run.takes import Take

_PROMPT_WIDTH = 100
"""Columns of a prompt; JSON has all of it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("target", metavar="TARGET", help="an id, a name, a glob over ids, or tag:x")
    parser.add_argument("--all", action="store_true", help="also what earlier prompts of the image gave")
    add_preview(parser)


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
    preview = Preview(args, context)
    for image in select([args.target], workspace.project.images):
        takes = takes_of(workspace, image, everything=args.all)
        for take, lines in zip(takes, _lines(image, takes, everything=args.all), strict=True):
            value = {"id": image.id, **to_json(asdict(take))}
            context.display.show(DataEvent("take", value), lines)
            preview.show(workspace.cache.blobs.path(take.digest))
        if not takes:
            context.display.note([line(f"{image.id} has no take yet")])
    return 0


def _lines(image: Image, takes: Sequence[Take], *, everything: bool) -> list[list[Line]]:
    rows = table(_row(image.id, take, handle=everything) for take in takes)
    if not everything:
        return [[row] for row in rows]
    return [[row, _origin(take, image.prompt)] for row, take in zip(rows, takes, strict=True)]


def _row(id: str, take: Take, *, handle: bool) -> list[Span]:
    state = "picked" if take.picked else "" if take.usable else "lost"
    return [
        Span(id, "bold"),
        Span("earlier" if take.earlier else f"take {take.number}", "dim" if take.earlier else ""),
        *([Span(take.handle, "cyan")] if handle else []),
        Span(state, "green" if take.picked else "red"),
        Span(f"{take.width}x{take.height}"),
        Span(take.created, "dim"),
        Span(_worth(take), "dim"),
    ]


def _worth(take: Take) -> str:
    if take.adopted:
        return "adopted"
    return money(take.cost, take.unit or "USD") if take.cost is not None else ""


def _origin(take: Take, prompt: str) -> Line:
    """The prompt that it was made from: of an earlier one, where it differs from what it is now."""
    if take.prompt is None:
        return line("    ", Span("a file of your own", "dim"))
    if take.prompt == prompt:
        return line("    ", Span(clip(prompt.replace("\n", " "), _PROMPT_WIDTH), "dim"))
    return line("    ", Span(both_shown(take.prompt, prompt, _PROMPT_WIDTH)[0].text, "dim"))
