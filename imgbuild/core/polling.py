"""When to ask for a paid task: not before it can be done, then often enough to notice its end soon."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import quantiles

SHORTEST = 2.0
LONGEST = 5.0
"""Seconds between two questions: what the services recommend (docs/providers.md)."""
_SHARE = 0.05
"""Of the time that a task has taken, the time between two questions: its end is noticed half of it late."""
_EARLY = 0.05
"""The share of the tasks that may be done before they are asked for."""
_ENOUGH = 8
"""Tasks after which there is something to expect."""
_JITTER = 0.1
"""The share by which a time is varied, so that tasks which began together are not asked for together."""
_PATIENCE = 4.0
"""What a question that came late adds to the next interval, as a multiple of its lateness."""


@dataclass(slots=True)
class Experience:
    """What a service's last tasks of one kind took. Times are in seconds."""

    _took: deque[float] = field(default_factory=lambda: deque(maxlen=64))

    def learn(self, running: float | None, done: float) -> None:
        """A task was last seen at work at the age `running` (None: never), and done at the age `done`.

        Where nobody looked before it was done, it may have been done for long: that is looked into by
        expecting it earlier.
        """
        self._took.append(done * (1 - _JITTER) if running is None else (running + done) / 2)

    def soonest(self) -> float:
        """The age that nearly all tasks reach; 0 while too little is known."""
        if len(self._took) < _ENOUGH:
            return 0.0
        return quantiles(self._took, n=round(1 / _EARLY), method="inclusive")[0]


def first_wait(interval: float | None, soonest: float, random01: float) -> float:
    """Seconds from a submission to the first question. `interval` is the configured one."""
    least = SHORTEST if interval is None else interval
    # Spread over half an interval at least: whole waves of tasks are submitted at one time.
    if soonest <= 0:
        return least * (1 + random01 / 2)
    return max(soonest - random01 * max(_JITTER * soonest, least / 2), least)


def next_wait(interval: float | None, age: float, late: float, random01: float) -> float:
    """Seconds to the next question for a task that is `age` seconds old and still at work.

    `late`: by how much the last question came later than it should have: a machine that does not keep up
    is not helped by more questions.
    """
    gap = min(max(_SHARE * age, SHORTEST), LONGEST) if interval is None else interval
    return (gap + _PATIENCE * max(late, 0.0)) * (1 + _JITTER * random01)
