"""A service whose own resolution is not its cheapest: estimates are for what it really gives."""

from __future__ import annotations

import pytest
from plan_world import image

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, Price, RatioOption
from imgbuild.core.plan.resolve import resolve
from imgbuild.core.plan.spec import Geometry

MODEL = Capabilities(
    model="m",
    ratios=tuple(
        RatioOption(ratio, tier, Size(w * k, h * k))
        for tier, k in (("0.5k", 1), ("1k", 2), ("2k", 4))
        for ratio, w, h in (("1:1", 512, 512), ("16:9", 688, 384))
    ),
    default_ratio="1:1",
    default_resolution="1k",
    prices=(Price(0.1, tier="0.5k"), Price(0.2, tier="1k"), Price(0.4, tier="2k")),
)


@pytest.mark.parametrize(
    ("fields", "asked", "tier", "expected"),
    [
        ({}, Geometry(), "1k", Size(1024, 1024)),
        ({"ratio": "16:9"}, Geometry(ratio="16:9"), "1k", Size(1376, 768)),
        ({"resolution": "0.5k"}, Geometry(resolution="0.5k"), "0.5k", Size(512, 512)),
        (
            {"ratio": "16:9", "resolution": "2k"},
            Geometry(ratio="16:9", resolution="2k"),
            "2k",
            Size(2752, 1536),
        ),
        # A size is covered by the cheapest, whatever the service does when left alone.
        ({"size": Size(500, 300)}, Geometry(ratio="1:1", resolution="0.5k"), "0.5k", Size(512, 512)),
    ],
)
def test_what_is_asked_for_and_what_is_expected(
    fields: dict[str, object], asked: Geometry, tier: str, expected: Size
) -> None:
    ask = resolve(image(**fields), MODEL, None)
    assert not isinstance(ask, list)
    assert (ask.asked, ask.tier, ask.expected) == (asked, tier, expected)
