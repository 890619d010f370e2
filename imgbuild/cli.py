"""The command line: find the verb, run it, and turn whatever comes out into words and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import time
from _thread import start_new_thread
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
    try:
        try:
            code = ending.exit_code = _report(argv, ending)
        finally:
            ending.interruption.expect()
    except KeyboardInterrupt:
        return ending.exit_code
    return code


class _Ending:
    """SIGINT and SIGTERM: the first lets a build end in its own way, the second one ends it now.

    What is in flight is in the journal before it is sent, so that ending it now loses nothing either.
    """

    def __init__(self, interruption: Interruption) -> None:
        self.interruption = interruption
        self.exit_code = _INTERRUPTED
        """What a process that has to end now ends with."""
        self._signals = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within, signals are the command's; one that it did not hear of is heard at the end.

        Raises:
            KeyboardInterrupt: the user wants to end, and no build is running that could in its own way.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell's background job ignores SIGINT, and so do we then.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        told, sys.unraisablehook = sys.unraisablehook, self._on_unraisable
        try:
            yield
            self.interruption.expect()
        finally:
            sys.unraisablehook = told

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        first, second = self._signals == 1, self._signals == 2
        if first:
            self.exit_code = _TERMINATED if number == signal.SIGTERM else _INTERRUPTED
            if not self.interruption.expected and _is_importing(frame):
                # Not every module survives an exception, nor keeps it: pydantic's core panics.
                os._exit(self.exit_code)
        if second:
            # Not with the module threading: it may be what the signal broke into, with a lock in its hand.
            with suppress(RuntimeError):  # no thread is left
                start_new_thread(self._end_soon, ())
        # This may have broken into itself, and then the first one is still to be requested.
        if first or self.interruption.requested:
            self.interruption.request()

    def _on_unraisable(self, what: sys.UnraisableHookArgs) -> None:
        """The signal came while Python called what no exception leaves, a finalizer for example."""
        if what.exc_type is not None and issubclass(what.exc_type, KeyboardInterrupt):
            os._exit(self.exit_code)
        sys.__unraisablehook__(what)

    def _end_soon(self) -> None:
        """Threads that are deep in a computation would hold up the end for as long as they need."""
        time.sleep(_PATIENCE)
        os._exit(self.exit_code)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _report(argv: Sequence[str], ending: _Ending) -> int:
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
        code = _execute(argv, display, ending)
    except ImgbuildError as error:
        display.error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        display.note([line("interrupted")])
        raise
    except Exception as error:
        if ending.interruption.requested:
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


def _execute(argv: Sequence[str], display: Display, ending: _Ending) -> int:
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
    context = Context(display, os.environ, ending.interruption, args.directory, args.file, args.profile)
    with ending.listening():
        return command.run(args, context)
