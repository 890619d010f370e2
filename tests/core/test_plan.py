"""The planner's decisions, each as a small world before and the action that follows."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from plan_world import World, image, resolved

from imgbuild.core.events import ActionKind, Cause
from imgbuild.core.image import FileReference, ImageReference, Size, UrlReference
from imgbuild.core.lock import Lock
from imgbuild.core.plan.action import Action, Mode, Plan
from imgbuild.core.plan.planner import make_plan
from imgbuild.core.plan.resolve import Resolved


def plan(world: World, lock: Lock, *images: Resolved, mode: Mode | None = None) -> Plan:
    order = [one.image.id for one in images]
    return make_plan(images, order, lock, world, mode or Mode(), whole=True)


def build(world: World, lock: Lock, *images: Resolved, mode: Mode | None = None) -> Lock:
    """Plan and carry out: generate what is missing, plan again image by image, write."""
    entries = dict(lock.images)
    masters: dict[str, str | None] = {}
    for one in images:
        action = _action(world, Lock(entries), one, images, mode)
        if action.kind is ActionKind.CONFLICT:
            continue
        for take in action.missing:
            world.generate(one, take, masters)
        action = _action(world, Lock(entries), one, images, mode)
        assert action.kind is not ActionKind.GENERATE
        masters[one.image.id] = action.source.digest if action.source else None
        entries[one.image.id] = world.write(action)
    ids = {one.image.id for one in images}
    return Lock({id: entry for id, entry in entries.items() if id in ids})


def _action(
    world: World, lock: Lock, one: Resolved, images: tuple[Resolved, ...], mode: Mode | None
) -> Action:
    made = plan(world, lock, *images, mode=mode)
    return next(action for action in made.actions if action.id == one.image.id)


def only(made: Plan) -> Action:
    [action] = made.actions
    return action


def causes(action: Action) -> list[tuple[str, Cause]]:
    return [(reason.field, reason.cause) for reason in action.reasons]


def test_a_new_image_is_generated_and_costs_its_price():
    action = only(plan(World(), Lock(), resolved(image())))
    assert (action.kind, action.missing, action.cost, action.requests) == (ActionKind.GENERATE, (1,), 0.25, 1)
    assert causes(action) == [("id", Cause.NEW)]


def test_after_a_build_there_is_nothing_to_do():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    assert plan(world, lock, one).idle


def test_changing_the_prompt_says_old_and_new():
    world = World()
    lock = build(world, Lock(), resolved(image(prompt="a cat")))
    action = only(plan(world, lock, resolved(image(prompt="a dog"))))
    assert action.kind is ActionKind.GENERATE
    assert [(r.field, r.old, r.new) for r in action.reasons] == [("prompt", "a cat", "a dog")]


def test_every_changed_field_is_a_reason():
    world = World()
    lock = build(world, Lock(), resolved(image(quality="low", params={"style": "a"})))
    changed = resolved(image(prompt="new", quality="high", seed=3, params={"style": "b"}))
    fields = {(r.field, r.old, r.new) for r in only(plan(world, lock, changed)).reasons}
    assert fields == {
        ("prompt", "a hero", "new"),
        ("quality", "low", "high"),
        ("seed", None, 3),
        ("params.style", "a", "b"),
    }


def test_a_size_that_was_taken_over_for_free_is_no_reason_later():
    world = World()
    lock = build(world, Lock(), resolved(image(size=Size(100, 50)), asked=Size(128, 128)))
    lock = build(world, lock, resolved(image(size=Size(90, 60)), asked=Size(128, 128)))
    action = only(plan(world, lock, resolved(image(prompt="new", size=Size(90, 60)), asked=Size(128, 128))))
    assert [r.field for r in action.reasons] == ["prompt"]


def test_a_size_that_asks_for_another_shape_says_both_sizes():
    world = World()
    lock = build(world, Lock(), resolved(image(size=Size(100, 50)), asked=Size(128, 128)))
    action = only(plan(world, lock, resolved(image(size=Size(200, 60)), asked=Size(256, 128))))
    assert action.kind is ActionKind.GENERATE
    assert [(r.field, r.old, r.new) for r in action.reasons] == [("size", "100x50", "200x60")]


def test_reverting_a_prompt_submits_nothing():
    world = World()
    cat, dog = resolved(image(prompt="a cat")), resolved(image(prompt="a dog"))
    lock = build(world, build(world, Lock(), cat), dog)
    action = only(plan(world, lock, cat))
    assert (action.kind, action.missing) == (ActionKind.RESTORE, ())
    assert build(world, lock, cat).images["hero"].source.digest == f"{1:064x}"
    assert world.generated == 2


def test_renaming_an_image_keeps_its_result_and_drops_the_old_entry():
    world = World()
    lock = build(world, Lock(), resolved(image("hero", prompt="x", output="a.png")))
    made = plan(world, lock, resolved(image("star", prompt="x", output="a.png")))
    assert [(a.id, a.kind) for a in made.actions] == [("star", ActionKind.NONE), ("hero", ActionKind.REMOVE)]
    assert made.actions[0].entry == lock.images["hero"]
    assert not made.idle


def test_moving_an_output_restores_it_there():
    world = World()
    lock = build(world, Lock(), resolved(image(output="a.png")))
    action = only(plan(world, lock, resolved(image(output="b.png"))))
    assert action.kind is ActionKind.RESTORE
    assert ("output", Cause.OUTPUT_MOVED) in causes(action)


def test_a_new_fit_only_derives():
    world = World()
    lock = build(world, Lock(), resolved(image(size=Size(100, 50)), asked=Size(128, 128)))
    action = only(plan(world, lock, resolved(image(size=Size(100, 50), fit="contain"), asked=Size(128, 128))))
    assert (action.kind, action.cost) == (ActionKind.DERIVE, 0.0)


def test_a_new_size_that_the_same_generation_covers_only_derives():
    world = World()
    lock = build(world, Lock(), resolved(image(size=Size(100, 50)), asked=Size(128, 128)))
    action = only(plan(world, lock, resolved(image(size=Size(90, 60)), asked=Size(128, 128))))
    assert action.kind is ActionKind.DERIVE
    assert [(r.field, r.old, r.new) for r in action.reasons] == [("size", "100x50", "90x60")]


def test_a_size_that_an_earlier_generation_covers_is_free_though_a_cheaper_shape_would_do():
    world = World()
    lock = build(world, Lock(), resolved(image(size=Size(100, 50)), asked=Size(256, 128)))
    smaller = resolved(image(size=Size(60, 60)), asked=Size(64, 64), others=(Size(256, 128), Size(512, 512)))
    assert only(plan(world, lock, smaller)).kind is ActionKind.DERIVE
    after = build(world, lock, smaller)
    assert after.images["hero"].key == lock.images["hero"].key
    assert plan(world, Lock(), smaller).actions[0].entry == after.images["hero"]


def test_a_gateway_with_other_sizes_finds_the_result_by_what_was_declared():
    world = World()
    lock = build(world, Lock(), resolved(image(size=Size(100, 50)), asked=Size(128, 128)))
    assert plan(world, lock, resolved(image(size=Size(100, 50)), asked=Size(256, 128))).idle


def test_deleting_an_output_restores_it():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    world.disk.clear()
    action = only(plan(world, lock, one))
    assert action.kind is ActionKind.RESTORE
    assert causes(action) == [("output", Cause.OUTPUT_MISSING)]


def test_deleting_the_lock_adopts_what_the_cache_has():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    action = only(plan(world, Lock(), one))
    assert (action.kind, action.entry) == (ActionKind.NONE, lock.images["hero"])
    assert causes(action) == [("id", Cause.UNLOCKED)]


def test_a_clone_with_its_outputs_and_no_cache_has_nothing_to_do():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    clone = World(disk=dict(world.disk))
    assert plan(clone, lock, one).idle


def test_a_clone_without_outputs_or_cache_must_generate_and_says_that_the_result_is_lost():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    action = only(plan(World(), lock, one))
    assert action.kind is ActionKind.GENERATE
    assert ("result", Cause.LOST) in causes(action)


def test_a_retouched_output_is_a_conflict_and_nothing_is_generated_for_it():
    world = World()
    lock = build(world, Lock(), resolved(image(prompt="a cat")))
    world.disk["hero.png"] = "mine"
    action = only(plan(world, lock, resolved(image(prompt="a dog"))))
    assert (action.kind, action.missing, action.cost) == (ActionKind.CONFLICT, (), 0.0)
    assert ("output", Cause.OUTPUT_EDITED) in causes(action)
    assert action.entry == lock.images["hero"]


def test_a_file_that_was_there_before_the_first_build_is_a_conflict():
    action = only(plan(World(disk={"hero.png": "mine"}), Lock(), resolved(image())))
    assert action.kind is ActionKind.CONFLICT


def test_overwrite_replaces_a_retouched_output():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    world.disk["hero.png"] = "mine"
    action = only(plan(world, lock, one, mode=Mode(overwrite=True)))
    assert action.kind is ActionKind.RESTORE
    assert action.outputs[0].foreign


def test_an_earlier_result_at_the_output_is_ours():
    world = World()
    cat, dog = resolved(image(prompt="a cat")), resolved(image(prompt="a dog"))
    first = build(world, Lock(), cat)
    old = dict(world.disk)
    lock = build(world, first, dog)
    world.disk = old
    assert only(plan(world, lock, dog)).kind is ActionKind.RESTORE


def test_a_new_encoder_touches_no_accepted_output():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    world.encoder_name = "encoder 2"
    assert plan(world, lock, one).idle
    world.disk.clear()
    assert only(plan(world, lock, one)).outputs[0].target == lock.images["hero"].outputs["hero.png"]


def test_more_takes_generate_only_the_new_ones_in_as_few_requests_as_possible():
    world = World()
    lock = build(world, Lock(), resolved(image(takes=1), max_n=2))
    action = only(plan(world, lock, resolved(image(takes=4), max_n=2)))
    assert (action.missing, action.requests, action.cost) == ((2, 3, 4), 2, 0.75)
    assert causes(action) == [("takes", Cause.MORE_TAKES)]


def test_fewer_takes_lose_nothing_and_more_again_are_free():
    world = World()
    lock = build(world, Lock(), resolved(image(takes=3)))
    lock = build(world, lock, resolved(image(takes=1)))
    assert plan(world, lock, resolved(image(takes=3))).idle


def test_the_pinned_take_stays():
    world, one = World(), resolved(image(takes=2))
    lock = build(world, Lock(), one)
    pinned = Lock({"hero": replace(lock.images["hero"], take=2)})
    action = only(plan(world, pinned, one))
    assert (action.kind, action.take, action.source and action.source.digest) == (
        ActionKind.DERIVE,
        2,
        f"{2:064x}",
    )


def test_equal_keys_are_generated_once():
    one = resolved(image("a", prompt="same"))
    other = resolved(image("b", prompt="same"))
    first, second = plan(World(), Lock(), one, other).actions
    assert (first.kind, first.cost) == (ActionKind.GENERATE, 0.25)
    assert (second.kind, second.cost, second.shares) == (ActionKind.DERIVE, 0.0, "a")


def test_a_reference_that_is_generated_first_is_said_before_it_is_paid_for():
    hero = resolved(image("hero"))
    icon = resolved(image("icon", references=(ImageReference("hero"),)))
    made = plan(World(), Lock(), hero, icon)
    second = made.actions[1]
    assert (second.kind, second.keys, second.cost) == (ActionKind.GENERATE, None, 0.25)
    assert ("references", Cause.REFERENCE_PENDING) in causes(second)
    assert made.summary().cost == 0.5


def test_changing_a_referenced_image_names_the_reference_as_the_reason():
    world = World()
    icon = resolved(image("icon", references=(ImageReference("hero"),)))
    lock = build(world, Lock(), resolved(image("hero")), icon)
    made = plan(world, lock, resolved(image("hero", prompt="new")), icon)
    [reason] = made.actions[1].reasons
    assert (reason.field, reason.old, reason.new) == ("references", f"{1:064x}", "@hero")


def test_a_referenced_image_that_only_moves_changes_nothing_else():
    world = World()
    icon = resolved(image("icon", references=(ImageReference("hero"),)))
    lock = build(world, Lock(), resolved(image("hero", output="a.png")), icon)
    made = plan(world, lock, resolved(image("hero", output="b.png")), icon)
    assert [a.kind for a in made.actions] == [ActionKind.RESTORE, ActionKind.NONE]


def test_a_changed_reference_file_generates_again():
    world = World(files={"ref.png": "1" * 64})
    one = resolved(image(references=(FileReference("ref.png"),)))
    lock = build(world, Lock(), one)
    world.files["ref.png"] = "2" * 64
    [reason] = only(plan(world, lock, one)).reasons
    assert (reason.field, reason.old, reason.new) == ("references", ["1" * 64], ["2" * 64])


def test_a_url_that_was_never_fetched_is_pending_and_then_pinned():
    world = World()
    one = resolved(image(references=(UrlReference("https://example.com/a.png"),)))
    assert only(plan(world, Lock(), one)).pending
    world.pins["https://example.com/a.png"] = "3" * 64
    lock = build(world, Lock(), one)
    assert plan(world, lock, one).idle


def test_locked_believes_the_lock_about_a_url_that_this_machine_never_fetched():
    world = World(pins={"https://example.com/a.png": "3" * 64})
    one = resolved(image(references=(UrlReference("https://example.com/a.png"),)))
    lock = build(world, Lock(), one)
    clone = World(disk=dict(world.disk))
    assert plan(clone, lock, one, mode=Mode(locked=True)).idle


def test_locked_never_generates_missing_takes():
    world = World()
    lock = build(world, Lock(), resolved(image(takes=1)))
    assert plan(world, lock, resolved(image(takes=5)), mode=Mode(locked=True)).idle


def test_locked_without_the_bytes_is_blocked_and_not_generated():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    action = only(plan(World(), lock, one, mode=Mode(locked=True)))
    assert action.blocked
    assert action.missing == ()


def test_a_corrupt_result_is_never_generated_again_by_itself():
    world, one = World(), resolved(image())
    lock = build(world, Lock(), one)
    digest = lock.images["hero"].source.digest
    world.blobs.clear()
    world.corrupt.add(digest)
    world.disk.clear()
    for known in (lock, Lock()):
        action = only(plan(world, known, one))
        assert action.blocked is not None
        assert "reroll" in action.blocked
        assert (action.missing, action.requests) == ((), 0)


def test_an_unknown_price_is_null_and_counts_as_nothing_in_the_sum():
    made = plan(World(), Lock(), resolved(image("a"), price=None), resolved(image("b"), price=0.5))
    assert made.actions[0].cost is None
    assert made.summary().cost == 0.5


names = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1, max_size=6)


@given(names, st.randoms(use_true_random=False), st.integers(1, 3))
def test_after_any_build_the_plan_is_empty_whatever_the_order(
    ids: list[str], chance: random.Random, takes: int
):
    images = [
        resolved(image(id, prompt=chance.choice(["x", f"a {id}"]), takes=takes), max_n=chance.choice([1, 2]))
        for id in ids
    ]
    world = World()
    lock = build(world, Lock(), *images)
    charged = world.generated
    shuffled = list(images)
    chance.shuffle(shuffled)
    assert plan(world, lock, *shuffled).idle
    assert build(world, lock, *shuffled) == lock
    assert world.generated == charged
