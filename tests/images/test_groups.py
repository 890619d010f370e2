"""Files that share their operations are made together, and come out as if each had been made alone."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import FORMATS, SOURCE, make, pattern, recipe, stored

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import BadImageError
from imgbuild.core.image import Operations, Size
from imgbuild.images.derive import derive

OPERATIONS = (
    Operations(),
    Operations(size=Size(70, 40), fit="contain"),
    Operations(size=Size(40, 40), focus="entropy"),
    Operations(width=50, caption="hero"),
    Operations(trim=True, scale=0.5, kernel="nearest", palette=8, pad=2, pow2=True),
    Operations(grid=8, palette=("#ff0000", "#00ff00", "#0000ff")),
)
WAYS = [
    Recipe(SOURCE, format, options=options, metadata=metadata, embedded=embedded)
    for format, metadata, embedded in product(
        FORMATS, ("provenance", "keep", "strip"), ({}, {"prompt": "a <fox>"})
    )
    for options in ([{}] if format == "png" else [{}, {"quality": 40}])
]
"""Every format, policy and set of options, still without operations."""


def in_order(ways: list[Recipe], operations: Operations) -> list[Recipe]:
    return [Recipe(SOURCE, way.format, operations, way.options, way.metadata, way.embedded) for way in ways]


@settings(max_examples=25, deadline=None)
@given(
    operations=st.sampled_from(OPERATIONS),
    ways=st.lists(st.sampled_from(WAYS), min_size=1, max_size=5),
    alpha=st.booleans(),
)
def test_a_group_is_the_same_as_one_by_one(operations: Operations, ways: list[Recipe], alpha: bool) -> None:
    recipes = in_order(ways, operations)
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = stored(pattern(96, 64, alpha=alpha), folder / "master.png")
        places = [folder / str(number) for number in range(len(recipes))]
        made = derive(source, recipes, places)
        for one, place, result in zip(recipes, places, made, strict=True):
            assert make(source, folder / "alone", one) == result
            assert (folder / "alone").read_bytes() == place.read_bytes()
            assert result.format == one.format
            assert result.bytes == place.stat().st_size


def test_nothing_is_written_where_one_of_the_group_cannot_be_made(make_picture, tmp_path: Path) -> None:
    recipes = [recipe("png", scale=100.0), recipe("webp", scale=100.0)]
    places = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(BadImageError):
        derive(make_picture("a.png", 164, 1), recipes, places)
    assert not any(place.exists() for place in places)


def test_a_call_is_for_one_picture(make_picture, tmp_path: Path) -> None:
    source, to = make_picture("a.png"), tmp_path / "out"
    with pytest.raises(ValueError, match="share"):
        derive(source, [recipe(width=10), recipe(width=20)], [to, to])
    with pytest.raises(ValueError, match="share"):
        derive(source, [recipe(width=10)], [])
