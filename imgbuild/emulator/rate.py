"""A limit of requests in a window of time, and the headers that tell of it."""

from __future__ import annotations


class RateLimit:
    """At most `limit` requests in each window of `seconds`, which begins with its first request; 0: no limit.

    Times are seconds of one clock.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._left = limit
        self._ends = 0.0

    def take(self, now: float) -> bool:
        """Whether one more request is allowed, which is counted."""
        if not self._limit:
            return True
        if now >= self._ends:
            self._left, self._ends = self._limit, now + self._seconds
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def headers(self, now: float) -> dict[str, str]:
        """What every answer says of it, as OpenAI's do."""
        if not self._limit:
            return {}
        return {
            "x-ratelimit-limit-requests": str(self._limit),
            "x-ratelimit-remaining-requests": str(self._left),
            "x-ratelimit-reset-requests": f"{self._milliseconds(now)}ms",
        }

    def patience(self, now: float) -> dict[str, str]:
        """What a refusal adds to it."""
        milliseconds = self._milliseconds(now)
        return {"retry-after-ms": str(milliseconds), "retry-after": str(-(-milliseconds // 1000))}

    def _milliseconds(self, now: float) -> int:
        return max(0, round((self._ends - now) * 1000)) + 1
