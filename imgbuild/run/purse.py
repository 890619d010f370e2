"""What a build or a session may spend. Asked before every submission, with what is in flight counted in."""

from __future__ import annotations

from imgbuild.core.errors import BudgetError


class Purse:
    """Money of one build, in the pricing unit. An unknown price counts as nothing.

    `most`: the limit, None for none. It may be moved at any time; what is spent stays spent.
    """

    def __init__(self, most: float | None, unit: str) -> None:
        self.most = most
        self.unit = unit
        self.spent = 0.0
        """What was submitted, estimated."""
        self.stopped = False
        """Something was not submitted for want of budget."""

    def take(self, cost: float | None) -> None:
        """Set an amount aside, or refuse: nothing has been sent yet.

        Raises:
            BudgetError: it would be more than the limit.
        """
        cost = cost or 0.0
        if not self.allows(cost):
            self.stopped = True
            raise BudgetError(
                f"not submitted: {self.spent:g} {self.unit} are spent or in flight, "
                f"and {cost:g} more would pass the limit of {self.most:g}",
                remedy="raise --max-cost or budget.max_cost",
            )
        self.spent += cost

    def allows(self, cost: float) -> bool:
        """Whether an amount is within the limit."""
        return self.most is None or self.spent + cost <= self.most + 1e-9

    def give_back(self, cost: float | None) -> None:
        """The service certainly charged nothing for it."""
        self.spent -= cost or 0.0
