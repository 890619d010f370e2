"""`imgbuild restore`: write what the lock says, without reading the manifest."""

from __future__ import annotations

import argparse

from imgbuild.commands.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


def run(args: argparse.Namespace, context: Context) -> int:
    """Restore; returns the exit code.

    Raises:
        ImgbuildError: the lock cannot be read, or a file cannot be written.
    """
    invocation = context.invocation(needs_manifest=False)
    from imgbuild.run.restore import restore_lock

    return restore_lock(invocation, context.display.handle)
