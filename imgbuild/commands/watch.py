"""`imgbuild watch`: build now, and again whenever something that decides about images is saved."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial

from imgbuild.commands.arguments import add_targets, amount, port
from imgbuild.commands.context import Context
from imgbuild.core.errors import ImgbuildError, UsageError
from imgbuild.core.events import DataEvent, Event
from imgbuild.ui.display import Display
from imgbuild.ui.spans import Span, line

DEFAULT_PORT = 8189
_NAMED = 3
"""Changed files that are named; of the others the number is told."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    add_targets(parser)
    flag = "store_true"
    parser.add_argument("--placeholder", action=flag, help="a free card for every image; no lock is written")
    parser.add_argument(
        "--max-cost", type=amount, metavar="X", help="stop before the session has spent more than this"
    )
    parser.add_argument("-y", "--yes", action=flag, help="do not ask before spending")
    parser.add_argument("--ui", action=flag, help="show the gallery live in the browser, for choosing")
    parser.add_argument(
        "--port", type=port, metavar="P", help=f"with --ui: 0 for any free one ({DEFAULT_PORT})"
    )
    parser.add_argument("--no-open", action=flag, help="with --ui: open no browser")


def run(args: argparse.Namespace, context: Context) -> int:
    """Watch until the user ends it.

    Raises:
        KeyboardInterrupt: the user has ended it.
        UsageError: a mistake on the command line; or it is called where builds are locked.
        ImgbuildError: what stops a session before it begins.
    """
    if context.environ.get("CI", "").lower() in ("true", "1"):
        raise UsageError(
            "with CI=true nothing is generated, so there is nothing to watch for",
            remedy="imgbuild build restores what the lock says",
        )
    if not args.ui and (args.port is not None or args.no_open):
        raise UsageError("--port and --no-open are about the page", remedy="add --ui")
    invocation = context.invocation(placeholder=args.placeholder)
    from imgbuild.run.watching.audience import WatchOptions

    options = WatchOptions(tuple(args.targets), args.yes, args.max_cost)
    terminal, interruption = Terminal(context.display), context.interruption
    if not args.ui:
        from imgbuild.run.watching.session import run_watch

        run_watch(invocation, options, terminal, interruption)
        return 0
    from imgbuild.live.server import run_live

    chosen = DEFAULT_PORT if args.port is None else args.port
    run_live(invocation, options, terminal, interruption, chosen, partial(_welcome, args, context))
    return 0


def _welcome(args: argparse.Namespace, context: Context, address: str, once: str) -> None:
    """Tell where the page is, and show it to whoever sits at this machine."""
    display = context.display
    display.show(DataEvent("page", {"url": address}), [line("the page: ", Span(address, "bold"))])
    graphical = sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & context.environ.keys()
    if graphical and display.can_ask and not args.no_open:
        import threading
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(once,), name="browser", daemon=True).start()


class Terminal:
    """A session's audience: whoever reads the command's output."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def emit(self, event: Event) -> None:
        """Show what a round tells."""
        self._display.handle(event)

    def changed(self, paths: Sequence[str]) -> None:
        """Say why there is another round."""
        self._display.renew()
        if paths:
            named = ", ".join(paths[:_NAMED])
            more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
            self._display.note([line(Span("changed", "cyan"), f": {named}{more}")])

    def error(self, error: ImgbuildError) -> None:
        """Show what is wrong."""
        self._display.error(error)

    def watching(self, files: int) -> None:
        """Say that all is done."""
        self._display.note([line(Span(f"watching {files} files; Ctrl-C ends it", "dim"))])

    @property
    def can_ask(self) -> bool:
        """Whether there is a terminal to answer from."""
        return self._display.can_ask

    async def ask(self, question: str) -> bool:
        """Read a line from the terminal, without holding up anything else."""
        import termios

        descriptor = sys.stdin.fileno()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            if not answer.done():
                answer.set_result(os.read(descriptor, 1024))

        self._display.pose(question)
        # What was typed before this question stood there is no answer to it.
        termios.tcflush(descriptor, termios.TCIFLUSH)
        loop.add_reader(descriptor, read)
        try:
            return (await answer).decode(errors="replace").strip().lower() in ("y", "yes")
        except asyncio.CancelledError:
            self._display.note([line(Span("never mind", "dim"))])
            raise
        finally:
            loop.remove_reader(descriptor)
