"""The life of a task: queued, processing, succeeded or failed, as time goes by."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist

from imgbuild.emulator.faults import TASK_ERRORS, Fault
from imgbuild.emulator.ledger import Order

QUEUED_SHARE = 0.1
"""The part of its time that a task waits before it is worked on."""
STRANGE_STATUS = "calibrating"
"""What the fault `unknown-status` calls it."""


@dataclass(slots=True)
class Task:
    """An accepted submission. Times are seconds of a monotonic clock."""

    id: str
    order: Order
    started: float
    seconds: float
    fault: Fault | None = None
    polls: int = 0
    """How often it was asked for."""
    fetches: int = 0
    """How often one of its results was asked for."""

    def progress(self, now: float) -> float:
        """How far it is, from 0 to 1."""
        if now - self.started >= self.seconds:
            return 1.0
        return max(0.0, (now - self.started) / self.seconds)

    def state(self, now: float) -> str:
        """How it really stands: queued, processing, succeeded or failed."""
        progress = self.progress(now)
        if progress < 1.0:
            return "queued" if progress < QUEUED_SHARE else "processing"
        return "failed" if self.failure() else "succeeded"

    def shown_state(self, now: float) -> str:
        """The same as `state`, or what the fault `unknown-status` says instead."""
        if self.struck_by("unknown-status") and self.polls < 2:
            return STRANGE_STATUS
        return self.state(now)

    def names(self) -> list[str]:
        """Its results' file names."""
        return [f"{k}.{self.order.format}" for k in range(1, self.order.n + 1)]

    def failure(self) -> tuple[str, str] | None:
        """Code and words, if it is going to fail."""
        return TASK_ERRORS.get(self.fault.name) if self.fault else None

    def struck_by(self, name: str) -> bool:
        """Whether the fault of this name struck it."""
        return self.fault is not None and self.fault.name == name


def duration(number: int, latency: float, jitter: float, fault: Fault | None) -> float:
    """Seconds that the task with this number takes: log-normal around `latency`, equal in every run."""
    digest = hashlib.sha256(number.to_bytes(8, "big")).digest()
    share = (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
    seconds = latency * math.exp(jitter * NormalDist().inv_cdf(share))
    return max(5.0, 10 * seconds) if fault is not None and fault.name == "slow" else seconds
