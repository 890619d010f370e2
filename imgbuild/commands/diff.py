"""`imgbuild diff [REV]`: the images that changed since a git revision."""

from __future__ import annotations

import argparse
from pathlib import Path

from imgbuild.commands.context import Context
from imgbuild.commands.summary import add_summary, summary_file
from imgbuild.core.events import DataEvent
from imgbuild.ui.spans import Span, line

_KINDS = (".html", ".png", ".webp")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("revision", nargs="?", default="HEAD", metavar="REV", help="a git revision (HEAD)")
    parser.add_argument(
        "--out", type=_out, metavar="FILE", help="also write before and after to a .html, .png or .webp"
    )
    add_summary(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    """Compare; returns the exit code.

    Raises:
        ImgbuildError: no git, no such revision, no lock there; or something cannot be read or written.
    """
    invocation = context.invocation(needs_manifest=False)
    from imgbuild.run.difference import difference_data, find_differences, review_data, write_sheet
    from imgbuild.ui.difference_words import difference_lines, difference_sum

    found = find_differences(invocation, args.revision)
    display = context.display
    for difference in found.differences:
        display.show(DataEvent("difference", difference_data(difference)), difference_lines(difference))
    short = found.revision.commit[:7]
    since = short if found.revision.commit == args.revision else f"{args.revision} ({short})"
    display.note([difference_sum(found.differences, since)])
    if args.summary is not None:
        from imgbuild.ui.report import difference_report

        with summary_file(context, args.summary) as file:
            file.write(difference_report(found.differences, since))
    if args.out is None:
        return 0
    path = context.folder / args.out
    if path.suffix.lower() != ".html":
        if not found.differences:
            return 0
        write_sheet(invocation, found, path)
    else:
        from imgbuild.store.fsio import write_atomic
        from imgbuild.ui.gallery.page import render_page

        title = f"{invocation.root.name}: changes since {args.revision}"
        page = render_page("review", title, review_data(invocation, found))
        write_atomic(path, page.encode(), sync=False)
    display.show(
        DataEvent("review", {"path": path.as_posix()}), [line("wrote ", Span(path.as_posix(), "bold"))]
    )
    return 0


def _out(text: str) -> str:
    if Path(text).suffix.lower() not in _KINDS:
        raise argparse.ArgumentTypeError(f'"{text}" has to end in .html, .png or .webp')
    return text
