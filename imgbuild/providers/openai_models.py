"""OpenAI's image models, as its API reference and SDK describe them in November 2026: pure data."""

from __future__ import annotations

import re
from functools import cache

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, Price, ReferenceLimits, SizeGrid, SizeOption
from imgbuild.providers.images_api import FIELDS, GPT_IMAGE_GRID

REFERENCE_BYTES = 50 * 10**6
MASK_BYTES = 4 * 10**6
"""Uploads are smaller than these."""

_REFERENCES = ReferenceLimits(max_count=16, max_bytes=REFERENCE_BYTES)
_SIZES = (
    SizeOption(Size(1024, 1024), "1:1"),
    SizeOption(Size(1536, 1024), "3:2"),
    SizeOption(Size(1024, 1536), "2:3"),
)
_QUALITIES = ("auto", "low", "medium", "high")
_MORE_QUALITIES = (*_QUALITIES, "xhigh", "max")
_BACKGROUNDS = ("auto", "transparent", "opaque")
_FORMATS = ("png", "jpeg", "webp")
_PARAMS = ("complexity", "moderation", "output_compression", "safety_identifier", "user")

# The reference gives the two best qualities to 2.5 by name; that 2.6 keeps them, and the grid, is assumed.
_ON_GRID = {
    "gpt-image-2": _QUALITIES,
    "gpt-image-2.5-sunburst": _MORE_QUALITIES,
    "gpt-image-2.5-flare": _MORE_QUALITIES,
    "gpt-image-2.6-sunburst": _MORE_QUALITIES,
    "gpt-image-2.6-flare": _MORE_QUALITIES,
}
_OF_THREE_SIZES = {
    "gpt-image-1.5": (*_PARAMS, "input_fidelity"),
    "gpt-image-1-mini": (*_PARAMS, "input_fidelity"),
    "chatgpt-image-latest": _PARAMS,
}

# USD per image of 1024x1024, and of 1536x1024 or 1024x1536. Other sizes have no published price, and no
# formula gives one (a larger picture may cost less): they are estimated as the dearer of the two.
_PRICES = {
    "gpt-image-2": {"low": (0.006, 0.005), "medium": (0.053, 0.041), "high": (0.211, 0.165)},
    "gpt-image-1-mini": {"low": (0.005, 0.006), "medium": (0.011, 0.015), "high": (0.036, 0.052)},
}
_AS_OF = "2026-11-21"

# Any server may stand behind base_url. Diffusion models work in blocks of pixels; most sizes that are not
# whole ones are refused or rounded.
_ANY_GRID = SizeGrid(step=16, min_pixels=256**2, max_pixels=8192**2, max_edge=8192, max_aspect=8.0)
_SNAPSHOT = re.compile(r"-20[0-9]{2}-[0-9]{2}-[0-9]{2}$", re.ASCII)


@cache
def models() -> dict[str, Capabilities]:
    """OpenAI's own models by name."""
    on_grid = [_own(name, qualities, _PARAMS, grid=GPT_IMAGE_GRID) for name, qualities in _ON_GRID.items()]
    others = [_own(name, _QUALITIES, params, sizes=_SIZES) for name, params in _OF_THREE_SIZES.items()]
    return {str(each.model): each for each in [*on_grid, *others]}


def capabilities_of(model: str) -> Capabilities:
    """What a model can be asked for: OpenAI's own, a dated snapshot of one, or whatever a server has."""
    return models().get(_SNAPSHOT.sub("", model)) or Capabilities(
        model=model,
        grid=_ANY_GRID,
        auto_size=True,
        qualities=None,
        backgrounds=None,
        formats=None,
        mask=True,
        mask_needs_reference=True,
        references=_REFERENCES,
        own_params=FIELDS,
    )


def _own(
    name: str,
    qualities: tuple[str, ...],
    params: tuple[str, ...],
    *,
    grid: SizeGrid | None = None,
    sizes: tuple[SizeOption, ...] = (),
) -> Capabilities:
    return Capabilities(
        model=name,
        sizes=sizes,
        grid=grid,
        auto_size=True,
        qualities=qualities,
        default_quality="auto",
        backgrounds=_BACKGROUNDS,
        formats=_FORMATS,
        max_n=10,
        mask=True,
        mask_needs_reference=True,
        references=_REFERENCES,
        params=params,
        own_params=FIELDS,
        prices=_prices(name),
    )


def _prices(model: str) -> tuple[Price, ...]:
    """The published prices. `auto` may become the best quality, and is estimated as that."""
    return tuple(
        price
        for quality, (square, oblong) in _with_auto(_PRICES.get(model, {})).items()
        for price in (
            Price(oblong, quality=quality, size=Size(1536, 1024), as_of=_AS_OF),
            Price(oblong, quality=quality, size=Size(1024, 1536), as_of=_AS_OF),
            Price(square, quality=quality, size=Size(1024, 1024), as_of=_AS_OF),
            Price(max(square, oblong), quality=quality, as_of=_AS_OF),
        )
    )


def _with_auto(prices: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {**prices, "auto": prices["high"]} if prices else prices
