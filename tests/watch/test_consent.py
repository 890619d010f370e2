"""What a plan's new cost means for a session, as laws on values."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.events import ActionKind
from imgbuild.core.image import ImageReference
from imgbuild.core.plan.action import Action, Plan
from imgbuild.core.plan.consent import Consent, beyond_limit, claims_of, wanted_by, with_dependents
from imgbuild.core.plan.spec import Keys


def action(id: str, key: str, cost: float = 0.01, **members: object) -> Action:
    base = Action(id, ActionKind.GENERATE, cost=cost, keys=Keys((key,), (), ()), missing=(1,))
    return replace(base, **members)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    ids = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8))
    actions = []
    for number, id in enumerate(ids):
        before = ids[:number]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=2)) if before else []
        pending = tuple(ImageReference(other) for other in needs)
        cost = draw(st.sampled_from([0.0, 0.01, 0.5]))
        key = draw(st.sampled_from(["k1", "k2", "k3", f"own {id}"]))
        actions.append(action(id, key, cost, pending=pending))
    return Plan(tuple(actions))


@given(plans(), st.sampled_from([None, 0.0, 0.02, 1.0]), st.booleans())
def test_nothing_is_paid_without_consent_and_nothing_waits_with_it(plan, above, can_ask):
    consent, verdict = Consent().weigh(plan, above, can_ask)
    costly = {a.id for a in plan.actions if a.cost}
    new = sum(a.cost or 0.0 for a in plan.actions)
    if above is None or new <= above:
        assert not verdict.held
    else:
        assert costly <= verdict.held
        assert verdict.held == with_dependents(plan, costly)
        assert bool(verdict.question) is can_ask
        assert bool(verdict.told) is not can_ask
        agreed = consent.answer(plan, yes=True)
        assert agreed.weigh(plan, above, can_ask)[1].held == frozenset()
        refused = consent.answer(plan, yes=False)
        again = refused.weigh(plan, above, can_ask)[1]
        assert (again.question, again.held) == (None, verdict.held)
    assert not Consent(yes=True).weigh(plan, above, can_ask)[1].held


@given(plans(), st.frozensets(st.sampled_from("abcdefgh")))
def test_who_waits_holds_up_exactly_those_that_need_it(plan, ids):
    held = with_dependents(plan, ids)
    assert ids <= held
    for one in plan.actions:
        needs = {r.id for r in one.pending if isinstance(r, ImageReference)}
        assert (one.id in held) == (one.id in ids or bool(needs & held))


@given(plans(), st.floats(0, 2))
def test_at_the_limit_only_what_passes_it_waits(plan, left):
    verdict = beyond_limit(plan, frozenset(), lambda cost: cost <= left)
    dear = {a.id for a in plan.actions if a.cost and a.cost > left}
    assert verdict.held == (with_dependents(plan, dear) if dear else frozenset())
    assert bool(verdict.told) is bool(dear)


def test_a_shared_result_waits_with_the_image_that_pays_for_it():
    plan = Plan((action("a", "k", 5.0), action("b", "k", 0.0, shares="a")))
    assert Consent().weigh(plan, 1.0, False)[1].held == {"a", "b"}


def test_what_was_agreed_to_is_not_asked_about_again():
    first = Plan((action("a", "k1", 5.0),))
    consent = Consent().answer(first, yes=True)
    more = Plan((action("a", "k1", 5.0), action("b", "k2", 0.5)))
    consent, verdict = consent.weigh(more, 1.0, True)
    assert not verdict.held
    assert claims_of(more.actions[1]) <= consent.agreed


def test_every_missing_take_is_wanted_whoever_pays_for_it():
    plan = Plan(
        (action("a", "k1", missing=(1, 2)), action("b", "k1", 0.0, shares="a"), action("c", "", keys=None))
    )
    assert wanted_by(plan) == {("k1", 1), ("k1", 2)}
