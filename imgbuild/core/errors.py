"""One error tree, by phase. Every error says what happened and, where it can, what to do.

ImgbuildError                    exit code
├── UsageError                   2   a bad argument or target
├── ManifestError                2   every diagnostic of one run, with places
├── LockfileError                2   a lock that cannot be read
├── LockedError                  3   --locked, and the manifest has moved on
├── BudgetError                  4   stopped before spending
├── StorageError                 1   a cache or disk problem, with the path
│   └── JournalError             1   what is written about a paid task cannot be understood
├── BadImageError                1   bytes that are not a usable image
└── ProviderFailure              1   a service's answer, with its failure kind
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Line and column count from 1; columns are characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written, and how it came to the image that uses it.

    `chain` runs from the outermost layer to the innermost, e.g.
    ("defaults", "preset icon", "image sprite", "item=sword").
    """

    position: Position
    chain: tuple[str, ...] = ()
    source_line: str | None = None
    """The text of the line, for the caret display."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong with the input: where, what, and what to do about it."""

    message: str
    position: Position | None = None
    source_line: str | None = None
    """The text of the line at `position`, for the caret display."""
    chain: tuple[str, ...] = ()
    hint: str | None = None
    """The remedy, e.g. 'did you mean "prompt"?'."""


class ImgbuildError(Exception):
    """Anything expected that stops imgbuild. `remedy` says what to do."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(ImgbuildError):
    """A bad argument, option or target."""

    exit_code = 2


class ManifestError(ImgbuildError):
    """The manifest, or a file that it reads, is wrong. Holds every diagnostic of the run."""

    exit_code = 2

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(d.message for d in self.diagnostics))


class LockfileError(ImgbuildError):
    """A lock that cannot be read; it is never taken for an empty one."""

    exit_code = 2


class LockedError(ImgbuildError):
    """`--locked`: the manifest and the lock disagree. `diagnostics` say it image by image, with places."""

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        ids: Iterable[str] = (),
        diagnostics: Iterable[Diagnostic] = (),
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.ids = tuple(ids)
        self.diagnostics = tuple(diagnostics)


class BudgetError(ImgbuildError):
    """Stopped by a cost limit or an unanswered confirmation, before anything was spent."""

    exit_code = 4


class StorageError(ImgbuildError):
    """The disk or the cache refused; the message names the path."""


class JournalError(StorageError):
    """The journal of a paid task is damaged, or of a newer version: nothing is submitted for its key."""


class BadImageError(ImgbuildError):
    """Bytes that are not a usable image, or a derivation that cannot be done."""


class FailureKind(StrEnum):
    """What kind of failure a provider met, and so what may be done about it (docs/providers.md)."""

    AUTH = "auth"
    CREDIT = "credit"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    INVALID = "invalid"
    FAILED = "failed"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    UNUSABLE = "unusable"
    EXPIRED = "expired"


class ProviderFailure(ImgbuildError):
    """A provider's refusal or breakdown. `retry_after` is in seconds, as the service asked."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        retry_after: float | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.kind = kind
        self.retry_after = retry_after
