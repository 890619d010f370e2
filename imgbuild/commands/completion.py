"""`imgbuild completion SHELL`: lets a shell complete commands, options and the ids of images."""

from __future__ import annotations

import argparse

from imgbuild.commands.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print what the shell has to run; returns the exit code."""
    from argcomplete.shell_integration import shellcode

    context.display.text(shellcode(["imgbuild"], shell=args.shell))
    return 0
