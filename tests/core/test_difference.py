"""Laws of comparing two locks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.difference import compare
from imgbuild.core.lock import Lock, LockedImage, LockedOutput, LockedSource

digests = st.sampled_from(["a" * 64, "b" * 64])
numbers = st.integers(1, 2)
outputs = st.builds(LockedOutput, digests, numbers, numbers, numbers)
sources = st.builds(LockedSource, digests, st.just("png"), numbers, numbers)
images = st.builds(
    LockedImage,
    digests,
    numbers,
    st.sampled_from(["uniall", "adopted"]),
    sources,
    st.none(),
    st.dictionaries(st.sampled_from(["a.png", "b.png"]), outputs),
)
locks = st.builds(Lock, st.dictionaries(st.sampled_from(["hero", "icon", "logo"]), images))


@given(locks)
def test_a_lock_does_not_differ_from_itself(lock: Lock):
    assert compare(lock, lock, lambda old, new: ()) == ()


@given(locks, locks)
def test_every_entry_that_differs_is_told_and_no_other(old: Lock, new: Lock):
    found = {one.id: one for one in compare(old, new, lambda old, new: ())}
    ids = {*old.images, *new.images}
    assert set(found) == {id for id in ids if old.images.get(id) != new.images.get(id)}
    for id, one in found.items():
        expected = "added" if id not in old.images else "removed" if id not in new.images else "changed"
        assert one.change == expected
        assert all(output.old != output.new for output in one.outputs)
        assert one.pair in (*one.outputs, None)


@given(locks, locks)
def test_looking_the_other_way_tells_the_opposite(old: Lock, new: Lock):
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    there = compare(old, new, lambda old, new: ())
    back = compare(new, old, lambda old, new: ())
    assert [opposite[one.change] for one in there] == [one.change for one in back]
    assert [[(o.new, o.old) for o in one.outputs] for one in there] == [
        [(o.old, o.new) for o in one.outputs] for one in back
    ]
