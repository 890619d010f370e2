"""Services with a grid of sizes: the resolutions that they reach, masks, and what can be transparent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_world import image

from imgbuild.core.image import FileReference
from imgbuild.core.plan.capabilities import Capabilities, ReferenceLimits, SizeGrid
from imgbuild.core.plan.geometry import Ask, Problem
from imgbuild.core.plan.grid import fits, resolutions
from imgbuild.core.plan.resolve import resolve

GRID = SizeGrid(step=16, min_pixels=655_360, max_pixels=8_294_400, max_edge=3840, max_aspect=3.0)
MODEL = Capabilities(
    model="grid",
    grid=GRID,
    backgrounds=("transparent", "opaque"),
    formats=("png", "jpeg", "webp"),
    mask=True,
    references=ReferenceLimits(max_count=1),
)
PHOTO = FileReference("photo.png")


def problems(**fields: object) -> list[tuple[str, str, str | None]]:
    found = resolve(image(**fields), MODEL, None)
    return [] if isinstance(found, Ask) else [(p.field, p.message, p.hint) for p in found]


def test_a_grid_reaches_the_resolutions_between_its_bounds() -> None:
    assert resolutions(GRID) == ("1k", "2k", "4k")
    assert resolutions(replace(GRID, min_pixels=256**2, max_pixels=8192**2)) == (
        "0.5k",
        "1k",
        "2k",
        "4k",
        "8k",
    )
    assert resolutions(replace(GRID, max_pixels=1024**2)) == ("1k",)


@pytest.mark.parametrize("resolution", ["0.5k", "8k"])
@pytest.mark.parametrize("more", [{}, {"ratio": "16:9"}])
def test_a_resolution_out_of_reach_is_refused(resolution: str, more: dict[str, str]) -> None:
    assert problems(resolution=resolution, **more) == [
        ("resolution", f"model grid has no resolution {resolution}", "allowed: 1k, 2k, 4k")
    ]


@given(st.sampled_from(resolutions(GRID)), st.sampled_from(["1:1", "16:9", "9:16", "3:2", "21:9", "3:1"]))
def test_a_resolution_in_reach_gives_a_size_on_the_grid(resolution: str, ratio: str) -> None:
    found = resolve(image(resolution=resolution, ratio=ratio), MODEL, None)
    assert isinstance(found, Ask)
    assert found.asked.size is not None
    assert fits(found.asked.size, GRID)
    assert found.tier == resolution


def test_a_mask_may_need_a_reference() -> None:
    assert problems(mask=PHOTO) == []
    needy = replace(MODEL, mask_needs_reference=True)
    assert resolve(image(mask=PHOTO), needy, None) == [
        Problem("mask", "model grid masks the first reference, and there is none", "add references")
    ]
    assert isinstance(resolve(image(mask=PHOTO, references=(PHOTO,)), needy, None), Ask)


def test_what_is_generated_as_jpeg_cannot_be_transparent() -> None:
    assert [field for field, _, _ in problems(background="transparent", format="jpeg")] == ["format"]
    assert problems(background="transparent", format="webp") == []
    assert problems(background="opaque", format="jpeg") == []
