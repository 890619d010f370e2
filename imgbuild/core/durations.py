"""Durations ("300s", "0.5h") and rates ("60/min", "none") as the manifest writes them."""

from __future__ import annotations

import re

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?|\.[0-9]+)(ms|s|min|h)$"
RATE_PATTERN = r"^(none|([0-9]+(\.[0-9]+)?|\.[0-9]+)/(s|min|h))$"
_DURATION = re.compile(rf"({_NUMBER})(ms|s|min|h)")
_RATE = re.compile(rf"({_NUMBER})/(s|min|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_LONGEST = 366 * 24 * 3600.0


def parse_duration(text: object) -> float:
    """Seconds of a duration: a number and ms, s, min or h. ValueError says what is wrong."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) <= 40 else None
    if match is None:
        raise ValueError("must be a number with its unit (ms, s, min or h), such as 300s, 0.5s or 15min")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= _LONGEST:
        raise ValueError("must be longer than nothing and at most a year")
    return seconds


def parse_rate(text: object) -> float | None:
    """Requests per second of a rate such as 60/min; None for "none", which is unlimited."""
    if text == "none":
        return None
    match = _RATE.fullmatch(text) if isinstance(text, str) and len(text) <= 40 else None
    if match is None or float(match[1]) <= 0:
        raise ValueError("must be a number per s, min or h, such as 60/min, or none for unlimited")
    return float(match[1]) / _SECONDS[match[2]]
