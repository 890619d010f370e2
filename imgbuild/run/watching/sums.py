"""What to count in a round's summary: what was done and paid since the last one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from imgbuild.core.events import SummaryEvent
from imgbuild.run.watching.office import Office


@dataclass(frozen=True, slots=True)
class Since:
    """The state at the last summary, and what rounds without one have done after it."""

    submitted: int = 0
    resumed: int = 0
    spent: float = 0.0
    done: SummaryEvent = field(default_factory=SummaryEvent)

    @classmethod
    def now(cls, office: Office) -> Since:
        """Count from here on."""
        return cls(office.worker.submitted, office.worker.resumed, office.purse.spent)

    def plus(self, superseded: SummaryEvent) -> Since:
        """With what a round did that a change has ended. How the rest came out, the next one tells."""
        return replace(self, done=_added(self.done, superseded))

    def total(self, last: SummaryEvent, office: Office) -> SummaryEvent:
        """The summary to tell after a round that came to its end."""
        return replace(
            _added(last, self.done),
            submitted=office.worker.submitted - self.submitted,
            resumed=office.worker.resumed - self.resumed,
            # An amount that a service did not charge after all may have come back meanwhile.
            cost=max(0.0, round(office.purse.spent - self.spent, 6)),
            unit=office.purse.unit,
        )


def _added(one: SummaryEvent, other: SummaryEvent) -> SummaryEvent:
    return replace(
        one,
        generated=one.generated + other.generated,
        derived=one.derived + other.derived,
        restored=one.restored + other.restored,
        seconds=round(one.seconds + other.seconds, 3),
    )
