"""`imgbuild init [DIR]`: a first manifest that builds at once, offline and free of charge."""

from __future__ import annotations

import argparse
from pathlib import Path

from imgbuild.commands.context import MANIFEST, Context
from imgbuild.core.errors import StorageError, UsageError
from imgbuild.core.events import DataEvent
from imgbuild.ui.spans import Span, line

SCHEMA = "imgbuild.schema.json"
"""Beside the manifest, so that every editor finds it without a network."""
_TEMPLATES = ("blank", "site", "game")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "folder", nargs="?", default=".", metavar="DIR", help="where; made if it is not there"
    )
    parser.add_argument("--template", choices=_TEMPLATES, default="blank", help="what to begin with (blank)")


def run(args: argparse.Namespace, context: Context) -> int:
    """Write the manifest; returns the exit code.

    Raises:
        UsageError: there is a manifest already; nothing is changed.
        StorageError: the folder cannot be written.
    """
    folder = context.folder / args.folder
    manifest = folder / (context.file or MANIFEST)
    if manifest.exists() or manifest.is_symlink():
        raise UsageError(f"{manifest.as_posix()} is there already", remedy="nothing was changed")
    from imgbuild.commands.schema import schema_text

    text = (Path(__file__).parent / "templates" / f"{args.template}.yaml").read_text(encoding="utf-8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        schema = folder / SCHEMA
        if not schema.exists():
            schema.write_text(schema_text("manifest"), encoding="utf-8")
        with manifest.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{folder.as_posix()} is no folder that a manifest can be put into") from None
    except OSError as error:
        raise StorageError(f"{manifest.as_posix()} cannot be written: {error.strerror}") from error
    where = "" if folder.resolve() == Path.cwd() else f'-C "{folder.as_posix()}" '
    context.display.show(
        DataEvent("init", {"manifest": manifest.as_posix(), "template": args.template}),
        [
            line("wrote ", Span(manifest.as_posix(), "bold"), f", and {SCHEMA} for your editor"),
            line(
                "next: ",
                Span(f"imgbuild {where}build", "bold"),
                " (free placeholder cards until you name a provider)",
            ),
        ],
    )
    return 0
