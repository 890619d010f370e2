"""Opening a file where the user edits it: the editor of the environment, or what the system has for it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread

from imgbuild.core.errors import UsageError

_AT_LINE: Mapping[str, Sequence[str]] = {
    "code": ("--goto", "{file}:{line}"),
    "codium": ("--goto", "{file}:{line}"),
    "cursor": ("--goto", "{file}:{line}"),
    "emacsclient": ("--no-wait", "+{line}", "{file}"),
    "gedit": ("+{line}", "{file}"),
    "gvim": ("+{line}", "{file}"),
    "idea": ("--line", "{line}", "{file}"),
    "kate": ("--line", "{line}", "{file}"),
    "mate": ("--line", "{line}", "{file}"),
    "pycharm": ("--line", "{line}", "{file}"),
    "subl": ("{file}:{line}",),
    "webstorm": ("--line", "{line}", "{file}"),
    "windsurf": ("--goto", "{file}:{line}"),
    "zed": ("{file}:{line}",),
}
"""How editors are told the line; any other one is given the file alone."""
_NEEDS_TERMINAL = frozenset(
    (
        "ed",
        "emacs",
        "helix",
        "hx",
        "jed",
        "joe",
        "kak",
        "mcedit",
        "micro",
        "nano",
        "ne",
        "nvim",
        "pico",
        "vi",
        "vim",
    )
)
"""Editors that draw on a terminal: the session's own is in use."""


def editor_command(environ: Mapping[str, str], file: Path, line: int | None) -> list[str]:
    """The command that opens a file. `line` None: it is a picture, which no text editor is asked for.

    Raises:
        UsageError: there is nothing to open it with.
    """
    configured = environ.get("VISUAL") or environ.get("EDITOR") or ""
    try:
        words = shlex.split(configured) if line is not None else []
    except ValueError:
        raise UsageError(f"$VISUAL or $EDITOR is no command: {configured}") from None
    name = Path(words[0]).stem if words else ""
    if words and name not in _NEEDS_TERMINAL:
        at = _AT_LINE.get(name, ("{file}",))
        return [*words, *(word.format(file=file, line=line) for word in at)]
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    if shutil.which(opener, path=environ.get("PATH")) is None:
        why = f"{name} needs a terminal of its own" if name else "neither $VISUAL nor $EDITOR is set"
        raise UsageError(f"{why}, and there is no {opener}", remedy="set $VISUAL, e.g. to code, subl or zed")
    return [opener, str(file)]


def open_in_editor(environ: Mapping[str, str], file: Path, line: int | None) -> None:
    """Start it, and leave it to the user.

    Raises:
        UsageError: there is nothing to open it with, or it does not start.
    """
    words = editor_command(environ, file, line)
    nowhere = subprocess.DEVNULL
    try:
        # The user's own command, from the user's own environment.
        started = subprocess.Popen(
            words, env=environ, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    except OSError as error:
        raise UsageError(f"{words[0]} does not start: {error.strerror}", remedy="set $VISUAL") from None
    Thread(target=started.wait, name="editor", daemon=True).start()
