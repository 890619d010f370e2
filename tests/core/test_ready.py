"""What is begun when: each image once, after what it refers to, few at a time, the longest chain first."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from plan_world import image, resolved

from imgbuild.core.events import ActionKind
from imgbuild.core.image import ImageReference
from imgbuild.core.plan.action import Action
from imgbuild.core.plan.chains import chain_lengths
from imgbuild.core.plan.ready import ReadyQueue


@st.composite
def plans(draw: st.DrawFn) -> list[Action]:
    """Images of three providers, some referring to earlier ones, which are settled or are to be generated."""
    actions: list[Action] = []
    for number in range(draw(st.integers(0, 14))):
        ids = draw(st.lists(st.sampled_from([a.id for a in actions]), max_size=3)) if actions else []
        references = tuple(ImageReference(id) for id in ids)
        one = resolved(
            image(f"i{number}", provider=draw(st.sampled_from(["a", "b", "c"])), references=references)
        )
        pending = references if draw(st.booleans()) else ()
        actions.append(Action(one.image.id, ActionKind.GENERATE, resolved=one, missing=(1,), pending=pending))
    return actions


@given(plans(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_each_is_begun_once_after_what_it_waits_for_and_few_are_near(
    planned: list[Action], near: int, random: Random
) -> None:
    by_id = {action.id: action for action in planned}
    images = [action.image for action in planned if action.image]
    chains = chain_lengths(images, by_id)
    queue = ReadyQueue(planned, chains, near=near)
    begun: list[str] = []
    settled: set[str] = set()
    open_, unsettled = set[str](), set[str]()

    def lane(id: str) -> str:
        one = by_id[id].image
        assert one
        return one.provider

    def is_ready(action: Action) -> bool:
        return all(ref.id in settled for ref in action.pending if isinstance(ref, ImageReference))

    while True:
        for action in queue.begin():
            assert is_ready(action)
            others = [
                a for a in planned if a.id not in begun and lane(a.id) == lane(action.id) and is_ready(a)
            ]
            assert chains.get(action.id, 0) == max(chains.get(a.id, 0) for a in others)
            begun.append(action.id)
            open_.add(action.id)
            unsettled.add(action.id)
        assert all(number <= near for number in Counter(map(lane, open_)).values())
        assert queue.left == len(planned) - len(begun)
        if not open_ and not unsettled:
            break
        happens = random.choice(
            [*(("leave", id) for id in sorted(open_)), *(("settle", id) for id in sorted(unsettled))]
        )
        match happens:
            case ("leave", id):
                queue.leave(id)
                open_.discard(id)
            case (_, id):
                queue.settle(id)
                settled.add(id)
                unsettled.discard(id)
    assert sorted(begun) == sorted(by_id)


def test_a_full_lane_keeps_no_other_waiting() -> None:
    def action(id: str, provider: str) -> Action:
        return Action(id, ActionKind.GENERATE, resolved=resolved(image(id, provider=provider)), missing=(1,))

    planned = [*(action(f"a{n}", "slow") for n in range(9)), *(action(f"b{n}", "fast") for n in range(9))]
    queue = ReadyQueue(planned, {}, near=2)
    assert [one.id for one in queue.begin()] == ["a0", "a1", "b0", "b1"]
    queue.leave("b0")
    queue.leave("b0")
    assert [one.id for one in queue.begin()] == ["b2"]
