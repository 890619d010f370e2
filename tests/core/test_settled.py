"""What earlier plans found settled is planned as if nobody had remembered it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from plan_world import World, image, resolved

from imgbuild.core.events import ActionKind
from imgbuild.core.image import ImageReference, Size
from imgbuild.core.lock import Lock, LockedImage
from imgbuild.core.plan.action import Mode, Plan
from imgbuild.core.plan.planner import make_plan
from imgbuild.core.plan.resolve import Resolved
from imgbuild.core.plan.settled import Settled

SIZE = Size(64, 64)


def start() -> dict[str, Resolved]:
    ids = [f"i{n}" for n in range(6)]
    images = {id: resolved(image(id, size=SIZE)) for id in ids}
    images["copy"] = resolved(image("copy", size=SIZE, references=(ImageReference("i5"),)))
    return images


def plan(images: dict[str, Resolved], lock: Lock, world: World, settled: Settled | None) -> Plan:
    return make_plan([*images.values()], [*images], lock, world, Mode(), whole=True, settled=settled)


def said(found: Plan) -> list[object]:
    """All that is shown of a plan, and all that a build does by it."""
    return [
        (a.event(), a.kind, a.reasons, a.cost, a.entry, a.previous, a.source, a.missing, a.settled)
        for a in found.actions
    ]


def build(images: dict[str, Resolved], lock: Lock, world: World) -> Lock:
    entries: dict[str, LockedImage] = {}
    masters: dict[str, str | None] = {}
    for id, one in images.items():
        if not (id == "copy" and masters.get("i5") is None):
            world.generate(one, 1, masters)
        planned = {
            a.id: a
            for a in plan(images, replace(lock, images={**lock.images, **entries}), world, None).actions
        }
        action = planned[id]
        if action.source is not None and action.kind is not ActionKind.CONFLICT:
            entries[id] = world.write(action)
            masters[id] = action.source.digest
    return Lock(entries)


CHANGES = st.sampled_from(
    ["prompt", "size", "fit", "output", "alt", "takes", "quality", "delete", "retouch", "unlock", "swap", "lose", "forget"]
)  # fmt: skip


@given(changes=st.lists(st.tuples(CHANGES, st.integers(0, 5)), max_size=5))
def test_a_plan_that_remembers_says_what_one_from_nothing_says(changes: list[tuple[str, int]]) -> None:
    images, world = start(), World()
    lock = build(images, Lock(), world)
    known: list[str] = []
    for change, number in [("nothing", 0), ("nothing", 0), *changes]:
        id = f"i{number}"
        one = images[id].image
        entries = dict(lock.images)
        if change == "prompt":
            one = replace(one, prompt=f"{one.prompt}, again")
        elif change == "size":
            one = replace(one, size=Size(32, 32))
        elif change == "fit":
            one = replace(one, fit="contain")
        elif change == "output":
            one = replace(one, output=f"moved/{one.output}")
        elif change == "alt":
            one = replace(one, alt="words")
        elif change == "takes":
            one = replace(one, takes=one.takes + 1)
        elif change == "quality":
            one = replace(one, quality="high")
        elif change == "delete":
            world.disk.pop(one.output, None)
        elif change == "retouch":
            world.disk[one.output] = "e" * 64
        elif change == "unlock":
            entries.pop(id, None)
        elif change == "swap" and id in entries and "i0" in entries:
            entries[id] = entries["i0"]
        elif change == "lose" and id in entries:
            # A blob that the cache has lost: a file that is in place needs none.
            world.blobs.discard(entries[id].source.digest)
        elif change == "forget" and id in entries:
            world.blobs -= {output.digest for output in entries[id].outputs.values()}
        images[id] = replace(images[id], image=one, ask=replace(images[id].ask))
        lock = Lock(entries)
        settled = Settled(frozenset(known))
        remembering = plan(images, lock, world, settled)
        assert said(remembering) == said(plan(images, lock, world, None))
        known = settled.now


def test_a_settled_image_is_not_looked_up_in_the_records_again() -> None:
    images, world = start(), World()
    lock = build(images, Lock(), world)
    first = Settled()
    plan(images, lock, world, first)
    assert len(first.now) == 6, "the one with a reference depends on another"
    again = Settled(frozenset(first.now))
    world.results.clear()
    found = {action.id: action for action in plan(images, lock, world, again).actions}
    assert found["i0"].kind is ActionKind.NONE
    assert found["i0"].picked is None
    assert len(again.now) == 5, "the one that it refers to has to know where its result is"
