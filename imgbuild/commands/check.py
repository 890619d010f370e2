"""`imgbuild check`: every error of the manifest in one run, and the number of images; no network."""

from __future__ import annotations

import argparse

from imgbuild.commands.context import Context
from imgbuild.core.events import DataEvent
from imgbuild.ui.spans import line
from imgbuild.ui.words import images


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


def run(args: argparse.Namespace, context: Context) -> int:
    """Check; returns the exit code.

    Raises:
        ManifestError: with everything that is wrong.
    """
    invocation = context.invocation()
    from imgbuild.run.unfamiliar import unfamiliar
    from imgbuild.run.workspace import load

    loaded = load(invocation)
    for warning in unfamiliar(invocation, loaded.project, loaded.types):
        context.display.handle(warning)
    count = len(loaded.project.images)
    if not args.quiet:
        context.display.show(DataEvent("check", {"images": count}), [line(f"{images(count)}, no errors")])
    return 0
