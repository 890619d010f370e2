"""What a session may pay for: what costs little, what the user agreed to, and what has to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from imgbuild.core.image import ImageReference
from imgbuild.core.plan.action import Action, Plan

Claim = tuple[str, int]
"""A key, and the number of a take."""

_NAMED = 3
"""Ids that a sentence names; of the others it tells the number."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one plan."""

    held: frozenset[str] = frozenset()
    """The images that wait: nothing is done for them."""
    question: str | None = None
    """To be answered before they need wait no longer."""
    told: str | None = None
    """Why they wait, where nobody is asked."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What the user has agreed to, and refused, since the session began. `yes`: agrees to everything."""

    yes: bool = False
    agreed: frozenset[Claim] = field(default_factory=frozenset)
    refused: frozenset[Claim] = field(default_factory=frozenset)

    def weigh(self, plan: Plan, above: float | None, can_ask: bool) -> tuple[Consent, Verdict]:
        """What a plan's new cost means: up to `above` (None: any amount) it is agreed to without a word."""
        new = [action for action in plan.actions if action.cost and not claims_of(action) <= self.agreed]
        claims = frozenset(claim for action in new for claim in claims_of(action))
        cost = sum(action.cost or 0.0 for action in new)
        if self.yes or above is None or cost <= above:
            return self._with(claims), Verdict()
        held = with_dependents(plan, (action.id for action in new))
        unit = next((action.resolved.unit for action in new if action.resolved), "USD")
        amount = f"about {cost:g} {unit}"
        if claims == self.refused:
            return self, Verdict(held, told=f"{_names(held)} not generated: not confirmed ({amount})")
        if can_ask:
            count = "1 image" if len(new) == 1 else f"{len(new)} images"
            return self, Verdict(held, question=f"This costs {amount} for {count}. Generate?")
        words = f"{amount} is more than confirm_above ({above:g}); --yes agrees"
        return self, Verdict(held, told=f"{_names(held)} not generated: {words}")

    def answer(self, plan: Plan, yes: bool) -> Consent:
        """The same after the user was asked about a plan."""
        claims = frozenset(
            claim for action in plan.actions if action.cost for claim in claims_of(action) - self.agreed
        )
        return self._with(claims) if yes else replace(self, refused=claims)

    def _with(self, claims: frozenset[Claim]) -> Consent:
        return replace(self, agreed=self.agreed | claims, refused=frozenset()) if claims else self


def beyond_limit(plan: Plan, held: frozenset[str], allows: Callable[[float], bool]) -> Verdict:
    """What else has to wait since a limit was reached: whatever alone would pass it."""
    too_much = [a for a in plan.actions if a.cost and a.id not in held and not allows(a.cost)]
    if not too_much:
        return Verdict(held)
    more = with_dependents(plan, (action.id for action in too_much))
    words = f"{_names(more)} not generated: the limit of this session is reached; --max-cost raises it"
    return Verdict(held | more, told=words)


def with_dependents(plan: Plan, ids: Iterable[str]) -> frozenset[str]:
    """Images, and all that cannot be had without them: what refers to them or shares their result."""
    held = frozenset(ids)
    while True:
        more = held | {action.id for action in plan.actions if held & _needs(action)}
        if more == held:
            return held
        held = more


def claims_of(action: Action) -> frozenset[Claim]:
    """What an action has to pay for. Before its references are there, its key is not known."""
    if action.keys is None:
        return frozenset({(action.id, 0)})
    return frozenset((action.keys.current, take) for take in action.to_pay)


def claims_wanted(action: Action) -> frozenset[Claim]:
    """The results that an action waits for, whoever pays for them."""
    if action.keys is None:
        return frozenset()
    return frozenset((action.keys.current, take) for take in action.missing)


def wanted_by(plan: Plan) -> frozenset[Claim]:
    """All results that a plan waits for."""
    return frozenset(claim for action in plan.actions for claim in claims_wanted(action))


def _needs(action: Action) -> frozenset[str]:
    pending = {reference.id for reference in action.pending if isinstance(reference, ImageReference)}
    return frozenset(pending | ({action.shares} if action.shares else set()))


def _names(ids: frozenset[str]) -> str:
    first = sorted(ids)[:_NAMED]
    more = len(ids) - len(first)
    names = ", ".join(first) + (f" and {more} more" if more else "")
    return f"{names}: {'is' if len(ids) == 1 else 'are'}"
