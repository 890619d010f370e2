"""`--summary FILE`: a report in Markdown at the end of a file, for CI and pull requests."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from imgbuild.commands.context import Context
from imgbuild.core.errors import UsageError


def add_summary(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--summary", metavar="FILE", help="also add a report in Markdown to the end of a file, e.g. for CI"
    )


@contextmanager
def summary_file(context: Context, name: str) -> Iterator[TextIO]:
    """The file to add to, opened before anything is done: a report that nobody gets is told at once.

    Raises:
        UsageError: it cannot be written.
    """
    path = context.folder / name
    try:
        file = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{path.as_posix()} cannot be written: {error.strerror}") from error
    with file:
        yield file
