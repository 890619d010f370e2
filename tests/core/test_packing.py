"""Packing: nothing overlaps, nothing is lost, nothing is stretched, whatever the order."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbuild.core.errors import ImgbuildError
from imgbuild.core.image import Size
from imgbuild.core.packing import FrameTooLarge, Page, Slot, pack

sizes = st.builds(Size, st.integers(1, 60), st.integers(1, 60))
sets = st.dictionaries(st.text(min_size=1, max_size=4), sizes, min_size=1, max_size=25)
options = st.fixed_dictionaries(
    {
        "max_size": st.integers(70, 200),
        "padding": st.integers(0, 5),
        "extrude": st.integers(0, 2),
        "rotate": st.booleans(),
        "pow2": st.just(False),
    }
) | st.fixed_dictionaries(
    {
        "max_size": st.integers(64, 300),
        "padding": st.integers(0, 5),
        "extrude": st.integers(0, 2),
        "rotate": st.booleans(),
        "pow2": st.just(True),
    }
)


def slots(pages: list[Page]) -> list[Slot]:
    return [slot for page in pages for slot in page.slots]


def apart(one: Slot, other: Slot, by: int) -> bool:
    return (
        one.x + one.width + by <= other.x
        or other.x + other.width + by <= one.x
        or one.y + one.height + by <= other.y
        or other.y + other.height + by <= one.y
    )


@given(sets, options)
def test_every_frame_is_there_once_and_keeps_its_size(given: dict[str, Size], how: dict[str, int]) -> None:
    placed = slots(pack(given, **how))
    assert sorted(slot.name for slot in placed) == sorted(given)
    for slot in placed:
        size = Size(slot.height, slot.width) if slot.turned else Size(slot.width, slot.height)
        assert size == given[slot.name]
        assert how["rotate"] or not slot.turned


@given(sets, options)
def test_frames_stay_apart_and_on_their_page(given: dict[str, Size], how: dict[str, int]) -> None:
    extrude = how["extrude"]
    for page in pack(given, **how):
        for one, other in combinations(page.slots, 2):
            assert apart(one, other, how["padding"] + 2 * extrude)
        for slot in page.slots:
            assert extrude <= slot.x <= page.size.width - extrude - slot.width
            assert extrude <= slot.y <= page.size.height - extrude - slot.height


@given(sets, options)
def test_pages_are_no_larger_than_allowed_and_than_needed(
    given: dict[str, Size], how: dict[str, int]
) -> None:
    for page in pack(given, **how):
        sides = (page.size.width, page.size.height)
        assert max(sides) <= how["max_size"]
        used = (
            max(slot.x + slot.width for slot in page.slots) + how["extrude"],
            max(slot.y + slot.height for slot in page.slots) + how["extrude"],
        )
        if how["pow2"]:
            assert all(
                side & (side - 1) == 0 and side < 2 * need for side, need in zip(sides, used, strict=True)
            )
        else:
            assert sides == used


@given(sets, options, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(
    given: dict[str, Size], how: dict[str, int], chance: random.Random
) -> None:
    names = list(given)
    chance.shuffle(names)
    assert pack({name: given[name] for name in names}, **how) == pack(given, **how)


@given(sets, options)
def test_frames_that_must_stay_upright_are_not_turned(given: dict[str, Size], how: dict[str, int]) -> None:
    upright = sorted(given)[::2]
    turned = {slot.name for slot in slots(pack(given, **how, upright=upright)) if slot.turned}
    assert turned.isdisjoint(upright)


def fill(given: dict[str, Size], **how: bool) -> float:
    pages = pack(given, max_size=4096, **how)
    return sum(size.pixels for size in given.values()) / sum(page.size.pixels for page in pages)


def many(count: int, seed: int, across: tuple[int, int], down: tuple[int, int]) -> dict[str, Size]:
    chance = random.Random(seed)
    return {f"s{i}": Size(chance.randint(*across), chance.randint(*down)) for i in range(count)}


@pytest.mark.parametrize(
    "given",
    [
        {f"icon{i}": Size(64, 64) for i in range(100)},
        {f"icon{i}": Size(48, 48) for i in range(37)},
        {f"i{i}": Size(16 << i % 3, 16 << i // 3 % 3) for i in range(120)},
        many(200, 1, (30, 64), (30, 64)),
        many(80, 2, (10, 200), (10, 200)),
        many(150, 3, (8, 300), (8, 24)),
        many(2000, 4, (8, 128), (8, 128)),
    ],
    ids=["squares", "a prime number", "three sizes", "trimmed", "mixed", "banners", "two thousand"],
)
@pytest.mark.parametrize("rotate", [False, True])
def test_typical_sets_fill_their_page(given: dict[str, Size], rotate: bool) -> None:
    assert fill(given, rotate=rotate) > 0.9


@settings(max_examples=20)
@given(st.lists(sizes, min_size=40, max_size=80))
def test_any_set_fills_most_of_its_page(found: list[Size]) -> None:
    given = {str(i): size for i, size in enumerate(found)}
    assert fill(given) > 0.75


def test_several_pages_are_used_where_one_is_too_small() -> None:
    pages = pack({f"{i:02}": Size(60, 60) for i in range(10)}, max_size=128)
    assert [len(page.slots) for page in pages] == [4, 4, 2]
    assert [str(page.size) for page in pages][:2] == ["120x120", "120x120"]


def test_a_maximum_that_is_no_power_of_two_is_rounded_down_for_powers_of_two() -> None:
    pages = pack({f"{i:02}": Size(60, 60) for i in range(10)}, max_size=200, pow2=True)
    assert all(page.size == Size(128, 128) for page in pages[:-1])


def test_a_frame_as_large_as_a_page_fits() -> None:
    (page,) = pack({"a": Size(62, 62)}, max_size=64, extrude=1, padding=8)
    assert page == Page(Size(64, 64), (Slot("a", 1, 1, 62, 62, turned=False),))


def test_a_frame_that_is_too_large_is_named() -> None:
    with pytest.raises(FrameTooLarge) as caught:
        pack({"small": Size(2, 2), "banner[kind=top]": Size(63, 20)}, max_size=64, extrude=1)
    assert caught.value.name == "banner[kind=top]"
    assert isinstance(caught.value, ImgbuildError)
    assert caught.value.message == (
        '"banner[kind=top]" has 63x20 pixels with 1 extruded on each side, '
        "which do not fit on an atlas page of 64x64"
    )
    assert caught.value.remedy


def test_nothing_needs_no_page() -> None:
    assert pack({}, max_size=64) == []
