"""The answer to a shell that completes a command line. It reads no YAML, since somebody waits for it."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import argcomplete
from argcomplete.completers import BaseCompleter, FilesCompleter

from imgbuild.commands.arguments import add_common
from imgbuild.core.lock import lock_name
from imgbuild.core.manifest.entries import shape_of

_MANIFEST = "imgbuild.yaml"
_MOST = 100_000_000
"""Bytes of a file that is looked into."""


def answer(commands: Mapping[str, Mapping[str, str]]) -> NoReturn:
    """Tell the shell what may follow, and end."""
    parser = argparse.ArgumentParser("imgbuild", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb")
    words = re.findall(r"[\w-]+", os.environ.get("COMP_LINE", ""))
    for group in commands.values():
        for verb, help in group.items():
            # Common options stand before the verb, too: what the verb was not given must not hide them.
            own = verbs.add_parser(verb, help=help, allow_abbrev=False, argument_default=argparse.SUPPRESS)
            if verb in words:
                import_module(f"imgbuild.commands.{verb}").configure(own)
                add_common(own)
    add_common(parser)
    argcomplete.autocomplete(parser, default_completer=_Words(), always_complete_options=False)
    raise SystemExit(0)


class _Words(BaseCompleter):
    """What may stand where an argument is no option and has no fixed choices: targets, or files."""

    def __call__(
        self,
        *,
        prefix: str,
        action: argparse.Action,
        parser: argparse.ArgumentParser,
        parsed_args: argparse.Namespace,
    ) -> Iterable[str]:
        if action.metavar != "TARGET":
            return FilesCompleter()(prefix)
        folder = Path(parsed_args.directory or ".")
        return image_ids(folder / (parsed_args.file or _MANIFEST), parsed_args.profile)


def image_ids(manifest: Path, profile: str | None) -> list[str]:
    """The ids in the lock beside a manifest, and the names of the manifest's own entries, as far as they can
    be told without understanding it. Nothing is wrong enough to be said here."""
    found: set[str] = set()
    shape = shape_of(_text(manifest))
    if shape is not None:
        found |= {*shape.spans}
    try:
        images = json.loads(_text(manifest.with_name(lock_name(profile))))["images"]
        found |= {id for id in images if isinstance(id, str)}
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return sorted(found)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST:
            return ""
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
