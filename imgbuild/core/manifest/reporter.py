"""Collects the diagnostics of a run, each place once."""

from __future__ import annotations

from collections.abc import Iterable

from imgbuild.core.errors import Diagnostic, ManifestError
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.yaml12 import Problem

_MAX_DIAGNOSTICS = 1_000
_MANY = 50


class Reporter:
    """What is wrong, in the order of the files and lines."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, str], Diagnostic] = {}
        self._files: dict[str, int] = {}

    def add(
        self,
        source: Source,
        at: int,
        message: str,
        *,
        chain: Iterable[str] = (),
        hint: str | None = None,
        kind: str = "",
    ) -> None:
        """Report a problem at an offset. Of one place and kind only the first is kept: a preset's
        mistake is one mistake, however many images have it."""
        key = (source.file, at, kind)
        if key in self._found or len(self._found) >= _MAX_DIAGNOSTICS:
            return
        self._files.setdefault(source.file, len(self._files))
        position = source.position(at)
        line = source.line(position.line)
        self._found[key] = Diagnostic(message, position, line, tuple(chain), hint)

    def add_problems(self, source: Source, problems: Iterable[Problem], *, chain: Iterable[str] = ()) -> None:
        """Report what reading a file found."""
        for problem in problems:
            self.add(
                source, problem.at, problem.message, chain=chain, hint=problem.hint, kind=problem.message
            )

    @property
    def many(self) -> bool:
        """True when there is so much to say that costly hints are not worth their time."""
        return len(self._found) >= _MANY

    @property
    def failed(self) -> bool:
        """True when anything was reported."""
        return bool(self._found)

    def raise_if_failed(self) -> None:
        """Raise all of it as one ManifestError."""
        if self._found:
            raise ManifestError(sorted(self._found.values(), key=self._order))

    def _order(self, diagnostic: Diagnostic) -> tuple[int, int, int]:
        position = diagnostic.position
        if position is None:
            return (-1, 0, 0)
        return (self._files[position.file], position.line, position.column)
