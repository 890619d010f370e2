"""`imgbuild emulate`: a local service that speaks the providers' dialects and charges nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from imgbuild.commands.arguments import port
from imgbuild.commands.context import Context
from imgbuild.core.durations import parse_duration
from imgbuild.core.events import DataEvent
from imgbuild.ui.spans import Line, Span, line, table

_HOST = "127.0.0.1"
_PORT = 8188


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("--port", type=port, default=_PORT, metavar="P", help=f"0 for any free one ({_PORT})")
    parser.add_argument(
        "--latency", type=_seconds, default=2.0, metavar="TIME", help="what a task takes (2s)"
    )
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME[:K]",
        help="go wrong, the first K times only if given; may be repeated; `list` lists them",
    )  # fmt: skip
    parser.add_argument(
        "--reading", action="append", default=[], metavar="NAME=VALUE",
        help="another way to read what a service's document leaves open; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="append every charge to this file, as JSON"
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """Serve until interrupted; returns the exit code.

    Raises:
        UsageError: the port is taken, a fault is unknown, or the extra is not installed.
    """
    display = context.display
    if "list" in args.fault:
        from imgbuild.emulator.faults import known_faults

        faults = known_faults()
        rows = table([Span(name, "bold"), Span(summary)] for name, summary in faults.items())
        for (name, summary), row in zip(faults.items(), rows, strict=True):
            display.show(DataEvent("fault", {"name": name, "summary": summary}), [row])
        return 0
    from imgbuild.emulator.options import EmulatorOptions, with_readings
    from imgbuild.emulator.server import serve

    options = EmulatorOptions(latency=args.latency, fault=tuple(args.fault), ledger_file=args.ledger)
    serve(
        with_readings(options, args.reading),
        _HOST,
        args.port,
        lambda url: display.show(DataEvent("emulator", {"url": url}), _welcome(url)),
    )
    return 0


def _welcome(url: str) -> list[Line]:
    example = (
        "providers:",
        f"  studio: {{type: uniall, base_url: {url}, api_key: '${{STUDIO_KEY:-emulated}}'}}",
        "defaults: {provider: studio, model: gpt-image-2, quality: low}",
    )
    return [
        line("emulating at ", Span(url, "bold")),
        (),
        line("in imgbuild.yaml:"),
        *(line(Span(f"  {text}", "cyan")) for text in example),
        (),
        line(f"what was charged: {url}/_emulate/ledger; Ctrl-C ends it"),
    ]


def _seconds(text: str) -> float:
    try:
        return 0.0 if text in ("0", "0s") else parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" {error}') from None
