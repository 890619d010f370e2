"""`imgbuild show TARGET`: the rendered prompt, the files and what is known about the result."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.core.events import DataEvent
from imgbuild.ui.spans import Line, Span, Style, line
from imgbuild.ui.values import money, size_in_bytes

if TYPE_CHECKING:
    from imgbuild.run.inspect import ImageDescription, OutputDescription

_STATES: dict[str, Style] = {"up to date": "green", "missing": "yellow", "changed by hand": "bold red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "target", metavar="TARGET", help="an id, a name, a glob over ids, tag:x, or an output's path"
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Show; returns the exit code.

    Raises:
        ImgbuildError: the manifest, the lock or the target is wrong.
    """
    invocation = context.invocation()
    from imgbuild.core.targets import select
    from imgbuild.run.inspect import describe
    from imgbuild.run.workspace import open_workspace

    workspace = open_workspace(invocation)
    for number, image in enumerate(select([args.target], workspace.project.images)):
        found = describe(workspace, image)
        value = json.loads(json.dumps(asdict(found)))
        context.display.show(DataEvent("description", value), [()] * bool(number) + _lines(found))
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
    lines += [_row("output", width, *_output(output)) for output in image.outputs]
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
    yield "made", image.created or ""
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
