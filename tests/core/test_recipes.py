"""Recipes: an encoding that is one to one, keys that never change, and the sizes that follow from operations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.derivation import Recipe, exact_size
from imgbuild.core.image import (
    DIGEST_SIGNS,
    KERNELS,
    Operations,
    Size,
    digest_path,
    names_digest,
)

SOURCE = "a" * 64

sizes = st.builds(Size, st.integers(1, 3), st.integers(1, 3))
operations = st.builds(
    Operations,
    alpha=st.sampled_from([None, "native", "#00ff00"]),
    grid=st.sampled_from([None, 2]),
    trim=st.booleans(),
    size=st.none() | sizes,
    width=st.sampled_from([None, 1, 2]),
    scale=st.sampled_from([None, 0.5]),
    kernel=st.sampled_from([None, *KERNELS[:2]]),
    palette=st.sampled_from([None, 2, ("#000000", "#ffffff")]),
    pad=st.integers(0, 2),
    pow2=st.booleans(),
    seamless=st.booleans(),
    caption=st.sampled_from([None, "a"]),
)
recipes = st.builds(
    Recipe,
    source=st.just(SOURCE),
    format=st.sampled_from(["png", "webp"]),
    operations=operations,
    options=st.sampled_from([{}, {"quality": 3}]),
    metadata=st.sampled_from(["provenance", "keep", "strip"]),
    embedded=st.sampled_from([{}, {"prompt": "p"}]),
)


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        (Recipe(SOURCE, "png"), "59d2ac3caa6ec42eb9aa00143949b083349488e7d7d1551a1b5da8fe6d91311f"),
        (
            Recipe(SOURCE, "png", Operations(size=Size(3, 4))),
            "b02cdf6c31b70eca59e38a8d1d119e51b7fb77185cbaf26d36d2d33f82d29827",
        ),
        (
            Recipe(
                SOURCE,
                "png",
                Operations(size=Size(3, 4), fit="contain", caption="x"),
                {"quality": 3},
                embedded={"prompt": "p"},
            ),
            "056c8c2bf6e19d0e6ca887504749814600c3d96ca699c88eb10cb01a5cb2da3e",
        ),
    ],
)
def test_a_key_stays_what_it_is_for_ever(recipe: Recipe, key: str) -> None:
    assert recipe.key() == key


@given(recipes, recipes)
def test_two_recipes_have_one_encoding_only_if_they_are_equal(one: Recipe, other: Recipe) -> None:
    assert (one.canonical() == other.canonical()) == (one == other)


@given(operations)
def test_a_focus_counts_only_where_something_is_cut_off(given_: Operations) -> None:
    plain, focused = (Recipe(SOURCE, "png", replace(given_, focus=focus)) for focus in (None, "entropy"))
    assert (plain.key() != focused.key()) == (given_.size is not None)


@given(sizes, st.integers(0, 40), st.booleans())
def test_a_size_grows_by_the_border_and_to_powers_of_two(size: Size, pad: int, pow2: bool) -> None:
    found = exact_size(Operations(size=size, pad=pad, pow2=pow2))
    assert found is not None
    for side, least in ((found.width, size.width + 2 * pad), (found.height, size.height + 2 * pad)):
        assert side >= least
        assert side == least if not pow2 else side & (side - 1) == 0
        assert side < 2 * least
    assert exact_size(Operations(width=3)) is None


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 64), st.integers(0, 64))
def test_any_part_of_a_digest_can_stand_in_a_path(digest: str, start: int, stop: int) -> None:
    path = f"a-{DIGEST_SIGNS[start:stop]}.png"
    assert digest_path(path, digest) == f"a-{digest[start:stop]}.png"
    assert names_digest(path) == (start < stop)
    assert not names_digest(digest_path(path, digest))
