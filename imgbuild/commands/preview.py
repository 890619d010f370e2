"""`--preview`: small pictures between the lines of `show` and `takes`, where a terminal can show them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.ui.spans import line

if TYPE_CHECKING:
    from imgbuild.ui.inline_images import Protocol

_SIDE = 240
"""Pixels."""


def add_preview(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--preview", action="store_true", help="show the pictures, on terminals that can")


class Preview:
    """Shows pictures on standard output if that was asked for, and if it is a terminal that can."""

    def __init__(self, args: argparse.Namespace, context: Context) -> None:
        self._display = context.display
        self._protocol: Protocol | None = None
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        if not args.preview or args.output_format != "text" or not on_terminal:
            return
        from imgbuild.ui.inline_images import protocol

        self._protocol = protocol(context.environ)
        if self._protocol is None:
            context.display.note([line("this terminal is not known to show pictures; imgbuild gallery does")])

    def show(self, file: Path) -> None:
        """Show a file; one that is no picture, or is not there, is passed over."""
        if self._protocol is None:
            return
        from imgbuild.run.thumbnails import terminal_pixels, terminal_png
        from imgbuild.ui.inline_images import iterm2, kitty, sixel

        try:
            if self._protocol == "sixel":
                text = sixel(*terminal_pixels(file, _SIDE))
            else:
                text = (kitty if self._protocol == "kitty" else iterm2)(terminal_png(file, _SIDE))
        except (BadImageError, StorageError):
            return
        self._display.text(f"{text}\n")
