"""Errors in words: the place, the line with a caret, where it came from and what to do about it."""

from __future__ import annotations

from typing import Literal

from imgbuild.core.errors import Diagnostic, ImgbuildError, LockedError, ManifestError, UsageError
from imgbuild.core.events import ErrorEvent
from imgbuild.core.redact import escape
from imgbuild.ui.spans import Line, Span, cells, clip, line

_ERROR = Span("error", "bold red")
_TAB = "    "
_SOURCE_WIDTH = 120
"""Columns of a source line that are shown, around the caret."""


def error_events(error: ImgbuildError) -> tuple[ErrorEvent, ...]:
    """An error as events: one for each diagnostic of a manifest, one for anything else."""
    if isinstance(error, ManifestError):
        return tuple(_event(diagnostic) for diagnostic in error.diagnostics)
    return (ErrorEvent(error.message, hint=error.remedy),)


def placed_events(error: ImgbuildError) -> tuple[ErrorEvent, ...]:
    """The same, with the images that `--locked` refuses one by one, each at its line of the manifest."""
    if isinstance(error, LockedError) and error.diagnostics:
        return tuple(_event(diagnostic) for diagnostic in error.diagnostics)
    return error_events(error)


def error_lines(error: ImgbuildError) -> list[Line]:
    """An error for a person."""
    if isinstance(error, ManifestError):
        blocks = [part for diagnostic in error.diagnostics for part in diagnostic_lines(diagnostic)]
        count = len(error.diagnostics)
        return [*blocks, line(_ERROR, f": {count} problems, nothing was sent")] if count > 1 else blocks
    if isinstance(error, UsageError):
        remedy = f"; {error.remedy}" if error.remedy else ""
        return [line(_ERROR, f": {error.message}{remedy}")]
    first, *more = error.message.split("\n")
    lines = [line(_ERROR, f": {first}"), *(line(text) for text in more)]
    if error.remedy:
        lines.append(_help(error.remedy, 2))
    return lines


def diagnostic_lines(diagnostic: Diagnostic) -> list[Line]:
    """One diagnostic: `file:line:column: error: message`, then the source line, origin and help."""
    if diagnostic.position is None:
        lines, indent = [line(_ERROR, f": {diagnostic.message}")], 2
    else:
        place = Span(str(diagnostic.position), "bold")
        lines = [line(place, ": ", _ERROR, f": {diagnostic.message}")]
        indent = len(str(diagnostic.position.line)) + 3
        if diagnostic.source_line is not None:
            lines += _source_lines(
                diagnostic.source_line, diagnostic.position.line, diagnostic.position.column
            )
    if diagnostic.chain:
        origin = " -> ".join(diagnostic.chain)
        lines.append(line(" " * indent, Span("= origin: ", "cyan"), origin))
    if diagnostic.hint:
        lines.append(_help(diagnostic.hint, indent))
    return lines


def annotation(event: ErrorEvent, command: Literal["error", "warning"] = "error") -> str:
    """An error as a GitHub Actions workflow command, one line."""
    message = event.message if event.hint is None else f"{event.message} ({event.hint})"
    members = {"file": event.file, "line": event.line, "col": event.column}
    place = ",".join(f"{name}={_property(str(v))}" for name, v in members.items() if v is not None)
    return f"::{command} {place}::{_data(message)}" if place else f"::{command}::{_data(message)}"


def _event(diagnostic: Diagnostic) -> ErrorEvent:
    at = diagnostic.position
    if at is None:
        return ErrorEvent(diagnostic.message, hint=diagnostic.hint)
    return ErrorEvent(diagnostic.message, at.file, at.line, at.column, diagnostic.hint)


def _help(text: str, indent: int) -> Line:
    return line(" " * indent, Span("= help: ", "cyan"), text)


def _source_lines(source: str, number: int, column: int) -> list[Line]:
    """The source line and a caret below the character at `column`, whatever a character's width is."""
    before, after = _visible(source[: column - 1]), _visible(source[column - 1 :])
    if cells(before) > _SOURCE_WIDTH // 2:
        before = "…" + _last(before, _SOURCE_WIDTH // 2)
    margin = f" {number} "
    bar = Span("|", "dim")
    text = before + clip(after, max(_SOURCE_WIDTH - cells(before), 1))
    return [
        line(Span(margin, "dim"), bar, f" {text}"),
        line(" " * len(margin), bar, f" {' ' * cells(before)}", Span("^", "bold red")),
    ]


def _visible(source: str) -> str:
    return escape(source.replace("\t", _TAB))


def _last(text: str, width: int) -> str:
    while cells(text) > width:
        text = text[max(1, (cells(text) - width) // 2) :]
    return text


def _data(text: str) -> str:
    """Escaped by GitHub's rules for a command's message: a newline stays one."""
    lines = (escape(part) for part in text.splitlines())
    return "%0A".join(part.replace("%", "%25") for part in lines)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
