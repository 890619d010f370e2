"""How large a benchmark run is: as the budgets say, or just enough to see that it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of everything in one run."""

    small: bool = False
    """A smoke test: the same measurements on a fraction of the targets, in seconds."""

    def of(self, full: int, small: int) -> int:
        """A number of targets or of repetitions: `full` where budgets are judged, else `small`."""
        return small if self.small else full
