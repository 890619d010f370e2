"""What a failure means for money and patience: its kind, and whether and when to try again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum

from imgbuild.core.errors import FailureKind

RETRY_AFTER_LIMIT = 300.0
"""Seconds: a service that asks for more patience than this is asked again after this."""

_ATTEMPTS: Mapping[FailureKind, int] = {FailureKind.TRANSIENT: 6, FailureKind.RATE_LIMITED: 10}
_FIRST_BACKOFF = 1.0
_LONGEST_BACKOFF = 60.0


class Phase(StrEnum):
    """What was being done. Only a submission can cost money."""

    SUBMIT = "submit"
    POLL = "poll"
    DOWNLOAD = "download"


class Breakdown(StrEnum):
    """How an exchange went wrong without a usable HTTP answer."""

    UNSENDABLE = "unsendable"
    """The request itself is impossible: a bad address, text that no encoding holds."""
    UNSENT = "unsent"
    """No connection: name, TCP, TLS or proxy. The service saw nothing."""
    NO_ANSWER = "no answer"
    """Something was sent; then silence or a reset."""
    CUT_SHORT = "cut short"
    """The body ended before its announced length."""
    UNREADABLE = "unreadable"
    """An answer, but not one that can be understood."""
    TOO_LARGE = "too large"
    """An answer beyond the limit."""


_INVALID, _TRANSIENT, _AMBIGUOUS, _UNUSABLE = (
    FailureKind.INVALID,
    FailureKind.TRANSIENT,
    FailureKind.AMBIGUOUS,
    FailureKind.UNUSABLE,
)

_BREAKDOWNS: Mapping[Breakdown, Mapping[Phase, FailureKind]] = {
    breakdown: dict(zip((Phase.SUBMIT, Phase.POLL, Phase.DOWNLOAD), kinds, strict=True))
    for breakdown, kinds in {
        Breakdown.UNSENDABLE: (_INVALID, _INVALID, _UNUSABLE),
        Breakdown.UNSENT: (_TRANSIENT, _TRANSIENT, _TRANSIENT),
        Breakdown.NO_ANSWER: (_AMBIGUOUS, _TRANSIENT, _TRANSIENT),
        Breakdown.CUT_SHORT: (_AMBIGUOUS, _TRANSIENT, _UNUSABLE),
        Breakdown.UNREADABLE: (_AMBIGUOUS, _TRANSIENT, _UNUSABLE),
        Breakdown.TOO_LARGE: (_AMBIGUOUS, _UNUSABLE, _UNUSABLE),
    }.items()
}

# Words are compared with `_` and `-` read as spaces, so that codes and sentences look alike.
_WORDS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (
        FailureKind.REFUSED,
        re.compile(
            r"content (policy|policies|filter)|contentfilter|(policy|safety) violation|usage polic"
            # In quotation marks it is the name of a field that was sent.
            r"|(?<!['\"`])moderat"
            r"|violat\w* [^.]{0,60}polic|safety (system|filter|check|polic|guideline)|image safety"
            r"|prohibited content|\bnsfw\b|sensitive (content|word|information)"
            r"|违规|敏感|审核|内容安全|不合规"
        ),
    ),
    (
        FailureKind.CREDIT,
        re.compile(
            r"insufficient (\w+ ){0,2}(quota|balance|credit|fund)|not enough (\w+ )?(quota|balance|credit)"
            r"|(quota|balance|credits?) (is |are )?(insufficient|not enough|exhausted|too low)"
            r"|billing hard limit|out of credit|payment required|余额不足|额度不足|欠费"
        ),
    ),
    (
        FailureKind.AUTH,
        re.compile(
            r"(invalid|incorrect|missing|expired) (\w+ )?(api ?key|token|credential)|unauthori[sz]ed"
            r"|api ?key (is )?(not valid|invalid|expired|missing)"
            r"|authentication (failed|error|required)|permission denied|无效的令牌"
        ),
    ),
    (FailureKind.RATE_LIMITED, re.compile(r"rate limit|too many requests|请求过于频繁")),
)


def kind_of_words(words: str) -> FailureKind | None:
    """What a service's own error text or code tells, where it is one of the known phrases."""
    plain = re.sub(r"[_\-\s]+", " ", words[:10_000].lower())
    return next((kind for kind, pattern in _WORDS if pattern.search(plain)), None)


def kind_of_status(status: int, phase: Phase, words: str = "") -> FailureKind:
    """The kind of an HTTP answer that is no success. `words` is the error text of a JSON body.

    A 4xx to a poll is UNUSABLE and not INVALID: the task was accepted and may have been charged, so
    it must not be submitted again just because the service has lost sight of it.
    """
    if phase is Phase.DOWNLOAD:
        if status in (429, 503):
            return FailureKind.RATE_LIMITED
        return FailureKind.TRANSIENT if _passing(status) else FailureKind.UNUSABLE
    said = kind_of_words(words)
    if status == 402 or said is FailureKind.CREDIT:
        return FailureKind.CREDIT
    if status in (429, 503):
        return FailureKind.RATE_LIMITED
    if said is FailureKind.REFUSED:
        return FailureKind.REFUSED
    # Google's answer to a wrong key is a 400.
    if status in (401, 403) or (status == 400 and said is FailureKind.AUTH):
        return FailureKind.AUTH
    if phase is Phase.POLL:
        return FailureKind.TRANSIENT if _passing(status) else FailureKind.UNUSABLE
    # 303 answers a POST that was carried out.
    return FailureKind.AMBIGUOUS if status >= 500 or status == 303 else FailureKind.INVALID


def kind_of_breakdown(breakdown: Breakdown, phase: Phase) -> FailureKind:
    """The kind of an exchange that gave no usable answer."""
    return _BREAKDOWNS[breakdown][phase]


def kind_of_business_error(words: str, phase: Phase) -> FailureKind:
    """The kind of an error that came under HTTP 200: by its words, which include its code."""
    said = kind_of_words(words)
    if said is not None:
        return said
    return FailureKind.INVALID if phase is Phase.SUBMIT else FailureKind.UNUSABLE


def retry_after(header: str | None, now: float, limit: float = RETRY_AFTER_LIMIT) -> float | None:
    """Seconds to wait as `Retry-After` asks, from 0 to `limit`; None when it asks nothing sensible.

    `now` is the Unix time, for the form that gives a date (RFC 9110, section 10.2.3).
    """
    text = (header or "").strip()
    # Python reads digits of every script; HTTP knows only the ASCII ones.
    if not text or not text.isascii():
        return None
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", text):
        return min(float(text), limit)
    if not text[0].isalpha():
        return None
    # Imported here: it takes longer than all the rest of this module, and hardly ever happens.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(moment.timestamp() - now, 0.0), limit)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def longest_retry_after(headers: Iterable[str | None], now: float) -> float | None:
    """The same for an answer that has the header several times: the longest patience is the safe one."""
    asked = [retry_after(header, now) for header in headers]
    return max((seconds for seconds in asked if seconds is not None), default=None)


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again."""


def decide(
    kind: FailureKind,
    attempt: int,
    retry_after: float | None,
    random01: float,
    elapsed: float,
    deadline: float,
    *,
    attempts: int | None = None,
) -> Wait | GiveUp:
    """Whether to try again after the `attempt`-th failure (from 1) of one operation.

    Full jitter over an exponential backoff, on top of what the service asked for: never earlier than
    asked. `random01` is a random number from 0 to 1; `elapsed` and `deadline` are seconds since the
    operation began. `attempts` replaces the number of tries that the kind deserves.
    """
    tries = _ATTEMPTS.get(kind, 0)
    if attempts is not None and tries:
        tries = attempts
    if attempt >= tries:
        return GiveUp()
    backoff = min(_FIRST_BACKOFF * 2.0 ** min(attempt - 1, 30), _LONGEST_BACKOFF)
    seconds = max(retry_after or 0.0, 0.0) + random01 * backoff
    return Wait(seconds) if elapsed + seconds < deadline else GiveUp()


def next_limit(limit: int, ceiling: int, kind: FailureKind | None) -> int:
    """The concurrency after one more outcome: halved when rate limited, one more after a success (None)."""
    if kind is FailureKind.RATE_LIMITED:
        return max(limit // 2, 1)
    return min(limit + 1, ceiling) if kind is None else limit


def _passing(status: int) -> bool:
    return status >= 500 or status in (408, 425)
