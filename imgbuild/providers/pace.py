"""A service's own account of how many more requests it takes, from its rate-limit headers. No clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from imgbuild.core.retry import RETRY_AFTER_LIMIT

_KINDS = ("requests", "images")
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
_STEP = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class _Window:
    left: int
    """Requests that the service still takes before `ends`."""
    ends: float


@dataclass(slots=True)
class Pace:
    """Holds requests back that the service has said it would refuse. Times are seconds of one clock."""

    _windows: dict[str, _Window] = field(default_factory=dict)

    def heed(self, headers: Mapping[str, str], now: float) -> None:
        """Learn from `x-ratelimit-{remaining,reset}-{requests,images}`, where they make sense."""
        for kind in _KINDS:
            left = _count(headers.get(f"x-ratelimit-remaining-{kind}"))
            seconds = duration(headers.get(f"x-ratelimit-reset-{kind}"))
            if left is None or seconds is None:
                continue
            known = self._windows.get(kind)
            if known is not None and now < known.ends:
                # The service did not know yet of what is under way.
                left = min(left, known.left)
            self._windows[kind] = _Window(left, now + seconds)

    def claim(self, now: float) -> float:
        """Take leave for one request: the seconds to wait before it is sent, usually 0."""
        open_windows = [window for window in self._windows.values() if now < window.ends]
        wait = max((window.ends - now for window in open_windows if window.left < 1), default=0.0)
        for window in open_windows:
            window.left -= 1
        return wait


def duration(text: str | None) -> float | None:
    """Seconds that "6m0s", "17ms" or "1.5" mean, at most the longest patience; None for anything else."""
    text = (text or "").strip()
    steps = _STEP.findall(text)
    if steps and "".join(number + unit for number, unit in steps) == text:
        return min(sum(float(number) * _UNITS[unit] for number, unit in steps), RETRY_AFTER_LIMIT)
    number = re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text, re.ASCII)
    return min(float(text), RETRY_AFTER_LIMIT) if number else None


def _count(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if _COUNT.fullmatch(text) else None
