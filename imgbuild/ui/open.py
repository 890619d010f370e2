"""The display for a format, on this process's own streams."""

from __future__ import annotations

from imgbuild.ui.display import Display
from imgbuild.ui.streams import Output


def open_display(format: str, out: Output, err: Output, *, verbosity: int) -> Display:
    """The display for "text", "json" or "github"."""
    if format == "text":
        from imgbuild.ui.console import TextDisplay

        return TextDisplay(out, err, verbosity=verbosity)
    from imgbuild.ui.machine import GithubDisplay, JsonDisplay

    return JsonDisplay(out) if format == "json" else GithubDisplay(out, err, verbosity=verbosity)
