"""`imgbuild schema manifest|lock|events`: a JSON Schema, exactly as the repository has it."""

from __future__ import annotations

import argparse

from imgbuild.commands.context import Context


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("kind", choices=("manifest", "lock", "events"), help="which of the three formats")


def run(args: argparse.Namespace, context: Context) -> int:
    """Print it; returns the exit code."""
    context.display.text(schema_text(args.kind))
    return 0


def schema_text(kind: str) -> str:
    """The text of the schema of "manifest", "lock" or "events"."""
    from imgbuild.core.schema import manifest_schema
    from imgbuild.core.schema_formats import events_schema, lock_schema

    return {"manifest": manifest_schema, "lock": lock_schema, "events": events_schema}[kind]()
