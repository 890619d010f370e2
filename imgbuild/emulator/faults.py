"""What can be made to go wrong: by `--fault NAME[:K]`, or by `[fault:NAME]` in a prompt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from imgbuild.core.errors import UsageError

_MARK = re.compile(r"\[fault:([^\]\s]*)\]")
_RULE = re.compile(r"(?P<name>[a-z0-9-]+)(?::(?P<limit>[1-9][0-9]{0,8}))?", re.ASCII)


class Stage(StrEnum):
    """When a fault strikes, and so whether the submission is charged."""

    REFUSED = "refused"
    """In place of an acceptance: nothing is charged."""
    LOST = "lost"
    """Accepted and charged, but the client never learns the task's id."""
    TASK = "task"
    """While the task runs."""
    POLL = "poll"
    """In the answers to queries."""
    RESULT = "result"
    """In the result's link or bytes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is an error. Each dialect gives it its own shape."""

    status: int
    """HTTP status."""
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong. `problem` is what is answered, where something is."""

    name: str
    summary: str
    stage: Stage
    problem: Problem | None = None


_POLICY = "Your request was rejected by our content policy (safety system)."

_FAULTS = (
    Fault("fail", "the task ends as failed", Stage.TASK),
    Fault("refuse", "the task ends as failed, for reasons of content policy", Stage.TASK),
    Fault(
        "refuse-400",
        "the submission is refused for reasons of content policy, as HTTP 400",
        Stage.REFUSED,
        Problem(400, "content_policy_violation", _POLICY),
    ),
    Fault(
        "401",
        "the key is not accepted",
        Stage.REFUSED,
        Problem(401, "invalid_api_key", "Invalid token."),
    ),
    Fault(
        "402",
        "the account has no credit left",
        Stage.REFUSED,
        Problem(402, "insufficient_user_quota", "Insufficient balance, please top up."),
    ),
    Fault(
        "429",
        "too many requests, with Retry-After: 1",
        Stage.REFUSED,
        Problem(429, "rate_limit_exceeded", "Too many requests, please slow down.", {"retry-after": "1"}),
    ),
    Fault(
        "500",
        "an internal error, before anything was charged",
        Stage.REFUSED,
        Problem(500, "internal_error", "Something went wrong."),
    ),
    Fault(
        "503",
        "overloaded, without Retry-After",
        Stage.REFUSED,
        Problem(503, "service_unavailable", "The service is overloaded, please try again later."),
    ),
    Fault(
        "error-200",
        "a business error under HTTP 200",
        Stage.REFUSED,
        Problem(200, "channel_not_available", "No channel is available for this model."),
    ),
    Fault("drop-before", "the connection closes before anything is accepted", Stage.REFUSED),
    Fault("drop-after-accept", "accepted and charged, then the connection closes unanswered", Stage.LOST),
    Fault("hang-after-accept", "accepted and charged, then no answer for ten minutes", Stage.LOST),
    Fault(
        "500-after-accept",
        "accepted and charged, then HTTP 500",
        Stage.LOST,
        Problem(500, "internal_error", "Something went wrong."),
    ),
    Fault("slow", "the task takes ten times as long, and at least 5 s", Stage.TASK),
    Fault("unknown-status", "a status that nobody knows until the second query, then as usual", Stage.TASK),
    Fault(
        "poll-500",
        "the first two queries of the task are answered by HTTP 500",
        Stage.POLL,
        Problem(500, "internal_error", "Something went wrong."),
    ),
    Fault(
        "poll-drop", "the first two queries of the task are not answered, the connection closes", Stage.POLL
    ),
    Fault("expired-link", "the result's link answers 404", Stage.RESULT),
    Fault("flaky-link", "the result's link answers 404 the first time, and works afterwards", Stage.RESULT),
    Fault("truncated", "the result's body is shorter than its Content-Length", Stage.RESULT),
    Fault("empty", "the result has no bytes", Stage.RESULT),
    Fault("html", "the result is an HTML page that calls itself an image", Stage.RESULT),
    Fault("wrong-format", "the result is encoded otherwise than asked, under the asked name", Stage.RESULT),
    Fault("wrong-size", "the result is smaller than asked", Stage.RESULT),
)
_BY_NAME: Mapping[str, Fault] = {fault.name: fault for fault in _FAULTS}

TASK_ERRORS: Mapping[str, tuple[str, str]] = {
    "fail": ("upstream_error", "The upstream model failed to generate an image."),
    "refuse": ("content_policy_violation", _POLICY),
}
"""Code and words of the tasks that end as failed, by fault."""


def known_faults() -> dict[str, str]:
    """Each fault's name and what it does, in one line."""
    return {fault.name: fault.summary for fault in _FAULTS}


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault, and how many submissions it strikes (None: all)."""

    fault: Fault
    limit: int | None


def parse_rule(text: str) -> Rule:
    """Read NAME or NAME:K. Raises UsageError for a name that is not known, or a K that is not a count."""
    match = _RULE.fullmatch(text.strip())
    fault = _BY_NAME.get(match["name"]) if match else None
    if match is None or fault is None:
        raise UsageError(
            f'unknown fault "{text}"',
            remedy=f"write NAME or NAME:K, where NAME is one of {', '.join(_BY_NAME)}",
        )
    return Rule(fault, int(match["limit"]) if match["limit"] else None)


class FaultBook:
    """Decides which fault, if any, strikes a submission. A mark in the prompt goes before the flags."""

    def __init__(self, flags: Iterable[str]) -> None:
        self._rules = [parse_rule(flag) for flag in flags]
        self._struck: Counter[object] = Counter()

    def strike(self, prompt: str) -> Fault | None:
        """The fault for a new submission, which is counted. Raises UsageError for an unknown mark."""
        for mark in _MARK.findall(prompt):
            rule = parse_rule(mark)
            if self._applies((mark, prompt), rule.limit):
                return rule.fault
        for index, rule in enumerate(self._rules):
            if self._applies(index, rule.limit):
                return rule.fault
        return None

    def forget(self) -> None:
        """Count from the beginning again."""
        self._struck.clear()

    def _applies(self, counter: object, limit: int | None) -> bool:
        self._struck[counter] += 1
        return limit is None or self._struck[counter] <= limit
