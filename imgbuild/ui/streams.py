"""Standard output and error as this program needs them: they may be closed, dumb or not UTF-8."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TextIO

from imgbuild.ui.spans import Line, render


class Output:
    """One stream. `colour`: styles may be used; `live`: lines may be rewritten."""

    def __init__(self, stream: TextIO, *, colour: bool = False, live: bool = False) -> None:
        self.stream = stream
        self.colour = colour
        self.live = live
        self.failure: OSError | None = None
        """Why the stream could not be written, other than that nobody reads it any more."""

    def write(self, text: str, *, flush: bool = True) -> None:
        """Write it; never raises. When a pipe is closed or a disk is full, the rest goes nowhere.

        A run that has paid for images goes on to its end and keeps them, whoever stopped listening.
        """
        try:
            self.stream.write(text)
            if flush:
                self.stream.flush()
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failure = error
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)

    def lines(self, lines: Iterable[Line]) -> None:
        """Write lines in the stream's own colours, or none."""
        text = "".join(f"{render(spans, colour=self.colour)}\n" for spans in lines)
        if text:
            self.write(text)


def standard_output(environ: Mapping[str, str], *, colour: bool) -> Output:
    """Where data goes."""
    return _output(sys.stdout, environ, colour)


def standard_error(environ: Mapping[str, str], *, colour: bool) -> Output:
    """Where progress and errors go."""
    return _output(sys.stderr, environ, colour)


def _output(stream: TextIO | None, environ: Mapping[str, str], colour: bool) -> Output:
    if stream is None:  # the descriptor was closed before the program began
        return Output(io.StringIO())
    if isinstance(stream, io.TextIOWrapper):
        # File names may hold bytes that are no text, and a terminal may lack letters.
        stream.reconfigure(errors="backslashreplace")
    live = stream.isatty() and environ.get("TERM") != "dumb"
    return Output(stream, colour=live and colour and not environ.get("NO_COLOR"), live=live)
