"""What is asked for, for every wish about size, ratio, resolution and fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_world import image

from imgbuild.core.image import FileReference, Image, Size, output_format
from imgbuild.core.plan.capabilities import Capabilities, RatioOption, ReferenceLimits, SizeGrid, SizeOption
from imgbuild.core.plan.geometry import Ask, Problem, choose, describe
from imgbuild.core.plan.grid import fits
from imgbuild.core.plan.resolve import resolve
from imgbuild.core.plan.spec import Geometry

SIZES = Capabilities(
    model="sizes",
    sizes=tuple(
        SizeOption(Size(w, h), ratio, tier)
        for w, h, ratio, tier in [
            (1024, 768, "4:3", "1k"),
            (1024, 1024, "1:1", "1k"),
            (1360, 768, "16:9", "1k"),
            (1536, 864, "16:9", "1k"),
            (2048, 2048, "1:1", "4k"),
            (2560, 1440, "16:9", "2k"),
            (2560, 2048, "5:4", "2k"),
            (3840, 2160, "16:9", "4k"),
        ]
    ),
    default_size=Size(1024, 1024),
    qualities=("low", "high"),
    formats=("png", "jpeg"),
    references=ReferenceLimits(max_count=1, files=False),
)
RATIOS = Capabilities(
    model="ratios",
    ratios=(
        RatioOption("1:1", "1k", Size(1024, 1024)),
        RatioOption("16:9", "1k", Size(1376, 768)),
        RatioOption("1:1", "2k", Size(2048, 2048)),
        RatioOption("16:9", "2k", Size(2752, 1536)),
    ),
)
NAMED = Capabilities(
    model="named-2k", ratios=(RatioOption("1:1", "2k", Size(2048, 2048)),), resolutions_in_model=("2k",)
)


def free(_: object) -> None:
    return None


def wish(**fields: object) -> Image:
    return image(**fields)  # type: ignore[arg-type]


def asked(capabilities: Capabilities, price=free, **fields: object) -> Geometry:
    ask = choose(wish(**fields), capabilities, price)
    assert isinstance(ask, Ask), ask
    return ask.asked


def problem(capabilities: Capabilities, **fields: object) -> Problem:
    found = choose(wish(**fields), capabilities, free)
    assert isinstance(found, Problem), found
    return found


def test_the_cheapest_covering_size_is_asked_for_and_said():
    one = wish(size=Size(1200, 630))
    ask = choose(one, SIZES, free)
    assert isinstance(ask, Ask)
    assert ask.asked == Geometry(size=Size(1360, 768))
    assert describe(ask, one) == "generate 1360x768, crop to 1200x630"


@pytest.mark.parametrize(
    ("fields", "size", "words"),
    [
        ({"size": Size(1024, 1024)}, "1024x1024", "generate 1024x1024"),
        ({"size": Size(512, 512)}, "1024x768", "generate 1024x768, crop to 512x512"),
        ({"size": Size(1360, 768), "fit": "exact"}, "1360x768", "generate 1360x768"),
        ({"size": Size(500, 500), "fit": "contain"}, "1024x768", "generate 1024x768, fit into 500x500"),
        ({"size": Size(1000, 700), "fit": "fill"}, "1024x768", "generate 1024x768, stretch to 1000x700"),
        ({"size": Size(768, 432), "ratio": "16:9"}, "1360x768", "generate 1360x768, crop to 768x432"),
        (
            {"size": Size(640, 360), "ratio": "16:9", "resolution": "2k"},
            "2560x1440",
            "generate 2560x1440, scale to 640x360",
        ),
        ({"ratio": "16:9"}, "1360x768", "generate 1360x768"),
        ({"ratio": "32:18"}, "1360x768", "generate 1360x768"),
        ({"ratio": "16:9", "resolution": "4k"}, "3840x2160", "generate 3840x2160"),
        ({"resolution": "4k"}, "2048x2048", "generate 2048x2048"),
        ({}, "1024x1024", "generate 1024x1024"),
        ({"size": Size(8000, 4500), "upscale": True}, "3840x2160", "generate 3840x2160, scale to 8000x4500"),
    ],
)
def test_sizes(fields: dict[str, object], size: str, words: str):
    one = wish(**fields)
    ask = choose(one, SIZES, free)
    assert isinstance(ask, Ask)
    assert str(ask.asked.size) == size
    assert describe(ask, one) == words


def test_a_known_price_outweighs_tier_and_pixels():
    prices = {Size(1360, 768): 3.0, Size(1536, 864): 2.0, Size(3840, 2160): 1.0}
    by_price = lambda option: prices.get(option.size)  # noqa: E731
    assert asked(SIZES, by_price, size=Size(1200, 630)) == Geometry(size=Size(3840, 2160))


def test_the_services_own_tier_outweighs_pixels():
    assert asked(SIZES, size=Size(2000, 2000)) == Geometry(size=Size(2560, 2048))


@pytest.mark.parametrize(
    ("fields", "geometry", "words"),
    [
        ({"ratio": "16:9"}, Geometry(ratio="16:9"), "generate 16:9 at 1k (about 1376x768)"),
        ({"ratio": "16:9", "resolution": "2k"}, Geometry(ratio="16:9", resolution="2k"), "generate 16:9 at 2k (about 2752x1536)"),
        ({"size": Size(1200, 630)}, Geometry(ratio="16:9", resolution="1k"), "generate 16:9 at 1k (about 1376x768), crop to 1200x630"),
        ({}, Geometry(), None),
    ],
)  # fmt: skip
def test_ratios(fields: dict[str, object], geometry: Geometry, words: str | None):
    one = wish(**fields)
    ask = choose(one, RATIOS, free)
    assert isinstance(ask, Ask)
    assert ask.asked == geometry
    assert describe(ask, one) == words


def test_a_resolution_that_the_models_name_says_is_not_asked_for_again():
    assert asked(NAMED, ratio="1:1", resolution="2k") == Geometry(ratio="1:1")
    assert "its name says the resolution" in problem(NAMED, resolution="1k").message


@pytest.mark.parametrize(
    ("capabilities", "fields", "field", "hint"),
    [
        (SIZES, {"ratio": "21:9"}, "ratio", "allowed: 1:1, 5:4, 4:3, 16:9"),
        (SIZES, {"ratio": "auto"}, "ratio", "allowed: 1:1, 5:4, 4:3, 16:9"),
        (SIZES, {"resolution": "8k"}, "resolution", "allowed: 1k, 2k, 4k"),
        (SIZES, {"ratio": "5:4", "resolution": "4k"}, "resolution", "ratios at 4k: 1:1, 16:9"),
        (SIZES, {"size": Size(1000, 1000), "fit": "exact"}, "size", "nearest: 1024x1024"),
        (SIZES, {"size": Size(5000, 5000)}, "size", "upscale: true"),
        (RATIOS, {"size": Size(1376, 768), "fit": "exact"}, "size", "nearest: 1376x768"),
        (Capabilities(model="none"), {"size": Size(1, 1)}, "size", "leave size out"),
    ],
)
def test_what_cannot_be_asked_for_lists_what_can(
    capabilities: Capabilities, fields: dict[str, object], field: str, hint: str
):
    found = problem(capabilities, **fields)
    assert found.field == field
    assert hint in (found.hint or "")


def test_a_size_that_nothing_covers_names_the_largest():
    assert "3840x2160" in problem(SIZES, size=Size(5000, 2000)).message


def test_a_local_engine_is_asked_for_any_size_exactly():
    anything = Capabilities(model=None, any_size=True)
    assert asked(anything, size=Size(1, 4000)) == Geometry(size=Size(1, 4000))
    assert asked(anything, ratio="7:3", resolution="4k") == Geometry(ratio="7:3", resolution="4k")


@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from(["cover", "contain", "fill"]))
def test_what_is_asked_for_always_covers(width: int, height: int, fit: str):
    want = Size(width, height)
    found = choose(wish(size=want, fit=fit), SIZES, free)
    coverable = any(o.size.width >= width and o.size.height >= height for o in SIZES.sizes)
    assert isinstance(found, Ask) is coverable
    if isinstance(found, Ask):
        size = found.asked.size
        assert size
        assert size.width >= width
        assert size.height >= height


def test_every_unsupported_field_is_reported_at_once():
    one = wish(
        quality="hihg",
        background="transparent",
        format="webp",
        seed=1,
        negative_prompt="x",
        mask=FileReference("m.png"),
        references=(FileReference("a.png"), FileReference("b.png")),
        output="x.jpg",
    )
    found = resolve(one, SIZES, None)
    assert isinstance(found, list)
    assert [p.field for p in found] == [
        "quality", "background", "format", "negative_prompt", "seed", "mask", "references", "references",
        "background",
    ]  # fmt: skip
    assert 'did you mean "high"?' in (found[0].hint or "")


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("a.png", "png"),
        ("a.JPG", "jpeg"),
        ("a/b.c.webp", "webp"),
        ("a.avif", "avif"),
        ("a", None),
        ("a.bmp", None),
    ],
)
def test_an_outputs_extension_tells_its_format(path: str, format: str | None):
    assert output_format(path) == format


GRID = Capabilities(
    model="grid",
    grid=SizeGrid(step=16, min_pixels=655_360, max_pixels=8_294_400, max_edge=3840, max_aspect=3.0),
    auto_size=True,
)


@pytest.mark.parametrize(
    ("fields", "size", "words"),
    [
        ({"size": Size(1200, 630)}, "1200x640", "generate 1200x640, crop to 1200x630"),
        ({"size": Size(1024, 1024)}, "1024x1024", "generate 1024x1024"),
        ({"size": Size(64, 64)}, "816x816", "generate 816x816, scale to 64x64"),
        ({"size": Size(1000, 100)}, "1408x480", "generate 1408x480, crop to 1000x100"),
        ({"size": Size(1920, 1080)}, "1920x1088", "generate 1920x1088, crop to 1920x1080"),
        ({"ratio": "16:9"}, "1280x720", "generate 1280x720"),
        ({"ratio": "1:1", "resolution": "2k"}, "2048x2048", "generate 2048x2048"),
        ({"resolution": "4k"}, "2880x2880", "generate 2880x2880"),
        ({"size": Size(9000, 3000), "upscale": True}, "3840x1280", "generate 3840x1280, scale to 9000x3000"),
        ({"ratio": "auto"}, "None", "generate auto"),
        ({}, "None", None),
    ],
)
def test_a_grid(fields: dict[str, object], size: str, words: str | None):
    one = wish(**fields)
    ask = choose(one, GRID, free)
    assert isinstance(ask, Ask), ask
    assert str(ask.asked.size) == size
    assert describe(ask, one) == words


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([None, "1k", "2k", "4k"]))
def test_what_a_grid_is_asked_for_lies_on_it_and_covers(width: int, height: int, resolution: str | None):
    found = choose(wish(size=Size(width, height), resolution=resolution), GRID, free)
    assert GRID.grid
    if isinstance(found, Ask):
        size = found.asked.size
        assert size
        assert fits(size, GRID.grid)
        assert size.width >= width
        assert size.height >= height
    else:
        assert width > 2000 or height > 2000


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([None, "1k", "2k", "4k"]))
def test_a_ratio_on_a_grid_is_exact(width: int, height: int, resolution: str | None):
    found = choose(wish(ratio=f"{width}:{height}", resolution=resolution), GRID, free)
    assert GRID.grid
    if isinstance(found, Ask):
        size = found.asked.size
        assert size
        assert fits(size, GRID.grid)
        assert size.width * height == size.height * width
    else:
        assert max(width / height, height / width) > 3 or max(width, height) > 15
