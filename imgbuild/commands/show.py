"""`imgbuild show TARGET`: what is known about an image, its files and its result, or about any file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.commands.preview import Preview, add_preview
from imgbuild.core.errors import UsageError
from imgbuild.core.events import DataEvent, to_json
from imgbuild.ui.origin_words import credential_words, origin_lines
from imgbuild.ui.spans import Line, Span, Style, line
from imgbuild.ui.values import money, size_in_bytes

if TYPE_CHECKING:
    from imgbuild.run.inspect import ImageDescription, OutputDescription

_STATES: dict[str, Style] = {"up to date": "green", "missing": "yellow", "changed by hand": "bold red"}

_LONGEST = 4096
"""Characters of a path that the system may know."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "target", metavar="TARGET", help="an id, a name, a glob over ids, tag:x, or the path of any file"
    )
    add_preview(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    """Show; returns the exit code.

    Raises:
        ImgbuildError: the manifest, the lock or the target is wrong, or nothing is known about a file.
    """
    file = context.folder / args.target
    is_file = len(args.target) < _LONGEST and file.is_file()
    invocation = context.invocation(needs_manifest=not is_file)
    if not (invocation.root / invocation.manifest).is_file():
        return _show_file(file, args, context)
    from imgbuild.core.targets import select
    from imgbuild.run.inspect import describe
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    try:
        images = select([args.target], workspace.project.images)
    except UsageError:
        if is_file:
            return _show_file(file, args, context)
        raise
    preview = Preview(args, context)
    for number, image in enumerate(images):
        found = describe(workspace, image)
        value = to_json(asdict(found))
        context.display.show(DataEvent("description", value), [()] * bool(number) + _lines(found))
        preview.show(invocation.root / image.output)
    return 0


def _show_file(file: Path, args: argparse.Namespace, context: Context) -> int:
    """A file that is no output of the manifest, perhaps of no project at all."""
    invocation = context.invocation(needs_manifest=False)
    from imgbuild.run.identify import identify
    from imgbuild.run.spend import open_project_cache
    from imgbuild.run.workspace import read_lock

    cache, _ = open_project_cache(invocation)
    found = identify(file, args.target, cache, read_lock(invocation))
    context.display.show(
        DataEvent("file_origin", to_json(asdict(found))), origin_lines(to_json(asdict(found)))
    )
    Preview(args, context).show(file)
    return 0


def _lines(image: ImageDescription) -> list[Line]:
    facts = [(name, Span(value)) for name, value in _facts(image) if value]
    width = max(len(name) for name in ("prompt", "output", *(name for name, _ in facts))) + 2
    lines = [line(Span(image.id, "bold"))]
    for text, name in ((image.prompt, "prompt"), (image.negative_prompt, "not")):
        # A prompt may have lines of its own.
        for number, part in enumerate(text.splitlines() if text else ()):
            lines.append(_row("" if number else name, width, Span(part)))
    lines += [_row(name, width, value) for name, value in facts]
    for output in image.outputs:
        lines.append(_row("output", width, *_output(output)))
        if output.credentials is not None:
            told = credential_words(to_json(asdict(output.credentials)))
            lines += [_row("", width, Span(words)) for words in told]
    return lines


def _facts(image: ImageDescription) -> Iterable[tuple[str, str]]:
    source = image.source
    yield "model", f"{image.model or 'its default'} from {image.provider}"
    yield "shape", image.geometry or ""
    yield "references", ", ".join(image.references)
    yield "alt", image.alt or ""
    yield "tags", ", ".join(image.tags)
    yield "key", image.key or ""
    taken = ", ".join(map(str, image.takes))
    yield "take", f"{image.take} of {taken}" if len(image.takes) > 1 else str(image.take or "")
    if source is not None:
        yield "source", f"{source['width']}x{source['height']} {source['format']}  {source['digest']}"
    yield "adopted" if image.adopted else "made", image.created or ""
    yield "cost", money(image.cost, image.unit or "USD") if image.cost is not None else ""
    yield "usage", ", ".join(f"{name}: {json.dumps(value)}" for name, value in image.usage.items())


def _output(output: OutputDescription) -> list[Span]:
    spans = [Span(output.path), Span(f"  {output.state}", _STATES.get(output.state, "yellow"))]
    if output.width and output.bytes:
        size = f"  {output.width}x{output.height}, {size_in_bytes(output.bytes)}"
        spans.append(Span(f"{size}  {output.digest}", "dim"))
    return spans


def _row(name: str, width: int, *value: Span) -> Line:
    return line("  ", Span(name.ljust(width), "dim"), *value)
