"""Services that take sizes and ratios, and what a resolution without a ratio means to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_world import image

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, RatioOption, SizeOption
from imgbuild.core.plan.geometry import Ask, Problem, choose
from imgbuild.core.plan.resolve import resolve
from imgbuild.core.plan.spec import Geometry

MIXED = Capabilities(
    model="mixed",
    sizes=(SizeOption(Size(1024, 1024), "1:1", "1k"), SizeOption(Size(2048, 1152), "16:9", "2k")),
    ratios=tuple(
        RatioOption(ratio, tier, Size(w * k, h * k))
        for tier, k in (("1k", 1), ("2k", 2))
        for ratio, w, h in (("1:1", 1024, 1024), ("16:9", 1280, 720), ("21:9", 1568, 672))
    ),
    default_ratio="1:1",
)
AUTO = Capabilities(
    model="auto",
    ratios=(
        RatioOption("auto", "1k", None),
        RatioOption("1:1", "1k", Size(1024, 1024)),
        RatioOption("16:9", "1k", Size(1280, 720)),
        RatioOption("16:9", "4k", Size(3840, 2160)),
    ),
    default_ratio="auto",
)


def chosen(capabilities: Capabilities, **fields: object) -> Ask | Problem:
    return choose(image(**fields), capabilities, lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "asked", "expected"),
    [
        ({"size": Size(1024, 1024)}, Geometry(size=Size(1024, 1024)), "1024x1024"),
        ({"size": Size(2048, 1152)}, Geometry(size=Size(2048, 1152)), "2048x1152"),
        ({"size": Size(1200, 630)}, Geometry(ratio="16:9", resolution="1k"), "1280x720"),
        (
            {"size": Size(1000, 1000), "resolution": "2k"},
            Geometry(size=Size(2048, 1152)),
            "2048x1152",
        ),
        ({"ratio": "1:1"}, Geometry(ratio="1:1"), "1024x1024"),
        ({"ratio": "32:18"}, Geometry(ratio="16:9"), "1280x720"),
        ({"ratio": "16:9", "resolution": "2k"}, Geometry(ratio="16:9", resolution="2k"), "2560x1440"),
        ({"resolution": "2k"}, Geometry(resolution="2k"), "2048x2048"),
        ({}, Geometry(), "1024x1024"),
    ],
)
def test_sizes_are_asked_for_as_sizes_and_ratios_as_ratios(
    fields: dict[str, object], asked: Geometry, expected: str
):
    ask = chosen(MIXED, **fields)
    assert isinstance(ask, Ask)
    assert (ask.asked, str(ask.expected)) == (asked, expected)


def test_no_ratio_is_what_the_service_makes_of_it():
    for fields in ({}, {"resolution": "1k"}):
        ask = chosen(AUTO, **fields)
        assert isinstance(ask, Ask)
        assert (ask.expected, ask.tier) == (None, "1k")
        assert ask.asked == Geometry(resolution=fields.get("resolution"))


def test_a_resolution_that_the_default_ratio_does_not_have_is_refused():
    problem = chosen(AUTO, resolution="4k")
    assert isinstance(problem, Problem)
    assert problem.field == "resolution"
    assert "no ratio auto at 4k" in problem.message
    assert problem.hint == "ratios at 4k: 16:9"


def test_a_size_is_covered_by_any_ratio():
    ask = chosen(AUTO, size=Size(1600, 900), resolution="4k")
    assert isinstance(ask, Ask)
    assert ask.asked == Geometry(ratio="16:9", resolution="4k")


@given(
    st.none() | st.builds(Size, st.integers(1, 3000), st.integers(1, 3000)),
    st.sampled_from([None, "auto", "1:1", "2:2", "16:9", "32:18", "21:9", "7:3", "5:4"]),
    st.sampled_from([None, "1k", "2k", "4k"]),
    st.sampled_from([MIXED, AUTO]),
)
def test_what_is_asked_for_is_always_on_offer(
    size: Size | None, ratio: str | None, resolution: str | None, capabilities: Capabilities
):
    ask = chosen(capabilities, size=size, ratio=ratio, resolution=resolution)
    if isinstance(ask, Problem):
        return
    asked = ask.asked
    if asked.size is not None:
        assert (asked.ratio, asked.resolution) == (None, None)
        assert asked.size in {option.size for option in capabilities.sizes}
        return
    meant = (asked.ratio or capabilities.default_ratio, asked.resolution or "1k")
    assert meant in {(option.ratio, option.resolution) for option in capabilities.ratios}


def test_params_cannot_contradict_the_fields_of_an_image():
    one = image(params={"size": "1x1", "style": "vivid", "model": "other"})
    found = resolve(one, Capabilities(model="m", own_params=("model", "size")), None)
    assert isinstance(found, list)
    assert [(p.field, p.message.split('"')[1]) for p in found] == [("params", "model"), ("params", "size")]
    assert isinstance(resolve(image(params={"style": "vivid"}), MIXED, None), Ask)
