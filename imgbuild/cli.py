"""The command line: find the verb, run it, and turn whatever comes out into words and an exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from imgbuild.commands.context import Context
    from imgbuild.core.errors import ImgbuildError
    from imgbuild.run.interruption import Interruption
    from imgbuild.ui.display import Display

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Build": {
        "build": "generate, derive and restore what is missing or changed",
        "watch": "build now, and again whenever something is saved",
        "plan": "what build would do, why, and what it costs",
        "check": "every error of the manifest, without network",
        "explain": "why an image is to be generated again, or is not",
        "restore": "write what the lock says, without reading the manifest",
    },
    "Look": {
        "list": "every image, one a line",
        "show": "all that is known about an image, or about any file",
        "gallery": "a page with every image, its takes and its files",
        "diff": "the images that changed since a git revision",
        "providers": "the configured services, and which of them may have your key",
    },
    "Choose": {
        "takes": "the candidates that an image has, and which one is picked",
        "pick": "make another take the accepted one",
        "adopt": "accept a file of your own as the image",
        "reroll": "pay for more takes of the same spec, and pick the first new one",
    },
    "Keep house": {
        "clean": "remove the files that builds made and nobody changed",
        "jobs": "paid tasks that are open, and what may have been charged",
        "spend": "what was paid, by provider, model, month and image",
        "cache": "the results that were paid for: stats, verify, gc, path",
    },
    "Set up": {
        "init": "write a first manifest",
        "completion": "let bash, zsh or fish complete commands, options and ids",
        "schema": "the JSON Schema of the manifest, the lock or the events",
        "emulate": "a local service to try things on, free of charge",
    },
}
"""Every verb with its one line; each lies in the module of its name below `imgbuild.commands`."""

_INTERRUPTED = 130
_TERMINATED = 143
_PATIENCE = 0.7
"""Seconds from the second signal to the end, whatever is going on; it has to be there within one."""


class _Command(Protocol):
    def configure(self, parser: ArgumentParser) -> None: ...

    def run(self, args: Namespace, context: Context) -> int: ...


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code.

    Raises OSError, ImportError or MemoryError where the system refuses even what errors are reported with.
    """
    if "_ARGCOMPLETE" in os.environ:
        from imgbuild.commands.completing import answer

        answer(COMMANDS)
    if not argv or argv[0] in ("-h", "--help", "help"):
        from imgbuild import __version__
        from imgbuild.ui.help import overview
        from imgbuild.ui.streams import standard_error, standard_output

        page = standard_output if argv else standard_error
        page(os.environ, colour=False).write(overview(__version__, COMMANDS))
        return 0 if argv else 2
    from imgbuild.run.interruption import Interruption

    ending = _Ending(Interruption())
    ending.listen()
    try:
        return _report(argv, ending.interruption)
    except KeyboardInterrupt:
        return ending.exit_code
    finally:
        ending.interruption.expect()


class _Ending:
    """SIGINT and SIGTERM: the first lets a build end in its own way, the second one ends it now.

    What is in flight is in the journal before it is sent, so that ending it now loses nothing either.
    """

    def __init__(self, interruption: Interruption) -> None:
        self.interruption = interruption
        self.exit_code = _INTERRUPTED
        self._signals = 0

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell's background job ignores SIGINT, and so do we then.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self.exit_code = _TERMINATED if number == signal.SIGTERM else _INTERRUPTED
        else:
            self._end_soon()
        self.interruption.request()

    def _end_soon(self) -> None:
        """Threads that are deep in a computation would hold up the end for as long as they need."""
        from threading import Timer

        watchdog = Timer(_PATIENCE, os._exit, (self.exit_code,))
        watchdog.daemon = True
        watchdog.start()


def _report(argv: Sequence[str], interruption: Interruption) -> int:
    from imgbuild import __version__
    from imgbuild.commands.arguments import glance
    from imgbuild.core.errors import ImgbuildError
    from imgbuild.core.events import VersionEvent
    from imgbuild.ui.open import open_display
    from imgbuild.ui.spans import line
    from imgbuild.ui.streams import standard_error, standard_output

    look = glance(argv)
    out = standard_output(os.environ, colour=look.colour)
    err = standard_error(os.environ, colour=look.colour)
    display = open_display(look.format, out, err, verbosity=look.verbosity)
    try:
        display.handle(VersionEvent(__version__, look.verb))
        code = _execute(argv, display, interruption)
    except ImgbuildError as error:
        display.error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        display.note([line("interrupted")])
        raise
    except Exception as error:
        if interruption.requested:
            # The signal broke into a clean-up that could not take it, e.g. that of argparse.
            display.note([line("interrupted")])
            raise KeyboardInterrupt from None
        found = _explained(error, argv)
        display.error(found)
        code = found.exit_code
    finally:
        display.close()
    out.write("")
    if out.failure:
        err.write(f"error: standard output cannot be written: {out.failure.strerror}\n")
        code = code or 1
    return code


def _explained(error: Exception, argv: Sequence[str]) -> ImgbuildError:
    """What nobody expected: the system's refusal, or a bug."""
    from imgbuild.store.refusal import refusal

    found = refusal(error)
    if found is None:
        from imgbuild.ui.crash import record

        found = record(error, _secrets(argv))
    return found


def _secrets(argv: Sequence[str]) -> Sequence[str]:
    """What must stand in no log of a command."""
    from pathlib import Path

    from imgbuild.commands.arguments import Parser, add_common
    from imgbuild.commands.context import MANIFEST
    from imgbuild.run.variables import known_secrets

    parser = Parser("imgbuild", "")
    add_common(parser)
    args, _ = parser.parse_known_args(argv)
    return known_secrets(Path(args.directory or ".", args.file or MANIFEST), os.environ)


def _execute(argv: Sequence[str], display: Display, interruption: Interruption) -> int:
    from importlib import import_module

    from imgbuild.commands.arguments import Parser, add_common, split
    from imgbuild.commands.context import Context

    helps = {verb: help for group in COMMANDS.values() for verb, help in group.items()}
    verb, rest = split(argv, helps)
    command = cast(_Command, import_module(f"imgbuild.commands.{verb}"))
    parser = Parser(f"imgbuild {verb}", f"{helps[verb][0].upper()}{helps[verb][1:]}.")
    command.configure(parser)
    add_common(parser)
    try:
        args = parser.read(rest)
    except SystemExit:  # argparse has printed the command's help
        return 0
    return command.run(
        args, Context(display, os.environ, interruption, args.directory, args.file, args.profile)
    )
