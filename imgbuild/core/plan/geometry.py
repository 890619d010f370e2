"""Shapes: what to ask a service for, so that it covers what the author wants.

One list of options serves services that take sizes and services that take ratios. The cheapest option
that covers is asked for: by price where it is known, then by tier, then by pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from imgbuild.core.image import Image, Size
from imgbuild.core.plan import grid as on_grid
from imgbuild.core.plan.capabilities import Capabilities, SizeGrid
from imgbuild.core.plan.spec import Geometry

TIERS = ("0.5k", "1k", "2k", "4k", "8k")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an image's field cannot be asked for, and what is allowed instead."""

    field: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One shape that a model offers."""

    asks: Geometry
    size: Size | None
    """What it gives, as far as is known."""
    ratio: str
    tier: str | None


@dataclass(frozen=True, slots=True)
class Ask:
    """The shape to ask for. `expected` is what should come back, as far as anybody knows."""

    asked: Geometry
    expected: Size | None = None
    tier: str | None = None
    others: tuple[Geometry, ...] = ()
    """Every other shape that covers the wanted size, cheapest first: what was paid for once in one of
    them is cheaper than anything new."""


PriceOf = Callable[[Option], float | None]


def ratio_value(ratio: str) -> Fraction | None:
    """The number behind "16:9"; None for "auto"."""
    width, separator, height = ratio.partition(":")
    return Fraction(int(width), int(height)) if separator else None


def choose(image: Image, capabilities: Capabilities, price_of: PriceOf) -> Ask | Problem:
    """The cheapest supported generation for an image's size, ratio and resolution."""
    declared = Geometry(image.size, image.ratio, image.resolution)
    if capabilities.any_size:
        return Ask(Geometry(size=image.size), image.size) if image.size else Ask(declared)
    options = _options(image, capabilities)
    matching = _matching(image, capabilities, options)
    if isinstance(matching, Problem):
        return matching
    if image.size is not None:
        return _covering(image, image.size, matching, price_of)
    if image.ratio is None and image.resolution is None and capabilities.default_ratio is None:
        return Ask(
            Geometry(size=capabilities.default_size), capabilities.default_size, _tier_of(capabilities)
        )
    if not matching:
        return Ask(declared)
    square = [o for o in matching if ratio_value(o.ratio) == 1]
    suitable = square if image.ratio is None and square else matching
    if image.resolution is None and capabilities.default_resolution is not None:
        suitable = [o for o in suitable if o.tier == capabilities.default_resolution] or suitable
    # Where a service takes sizes and ratios, what is declared as a ratio is asked for as one.
    best = min([o for o in suitable if o.asks.size is None] or suitable, key=_rank(price_of))
    if best.asks.size is not None:
        return Ask(best.asks, best.size, best.tier)
    ratio = best.asks.ratio if image.ratio is not None else None
    resolution = None if capabilities.resolutions_in_model else image.resolution
    return Ask(Geometry(ratio=ratio, resolution=resolution), best.size, best.tier)


def describe(ask: Ask, image: Image) -> str | None:
    """What is generated and how it is fitted: "generate 1360x768, crop to 1200x630"; None if nobody cares."""
    shape = _shape(ask)
    if shape is None:
        return None
    if image.size is None or image.size == ask.asked.size:
        return f"generate {shape}"
    if image.fit == "contain":
        return f"generate {shape}, fit into {image.size}"
    if image.fit == "fill":
        return f"generate {shape}, stretch to {image.size}"
    expected = ask.expected
    same = expected is not None and expected.width * image.size.height == expected.height * image.size.width
    return f"generate {shape}, {'scale' if same else 'crop'} to {image.size}"


def _shape(ask: Ask) -> str | None:
    if ask.asked.size is not None:
        return str(ask.asked.size)
    if ask.asked.ratio is None:
        return None
    at = f" at {ask.asked.resolution or ask.tier}" if ask.asked.resolution or ask.tier else ""
    about = f" (about {ask.expected})" if ask.expected else ""
    return f"{ask.asked.ratio}{at}{about}"


def _options(image: Image, capabilities: Capabilities) -> list[Option]:
    sizes = [Option(Geometry(size=o.size), o.size, o.ratio, o.tier) for o in capabilities.sizes]
    in_model = capabilities.resolutions_in_model
    ratios = [
        Option(
            Geometry(ratio=o.ratio, resolution=None if in_model else o.resolution),
            o.size,
            o.ratio,
            o.resolution,
        )
        for o in capabilities.ratios
    ]
    auto = [Option(Geometry(ratio="auto"), None, "auto", None)] if capabilities.auto_size else []
    return sizes + ratios + auto + _on_grid(image, capabilities.grid)


def _on_grid(image: Image, grid: SizeGrid | None) -> list[Option]:
    """The shapes of a grid that could serve this image: there are too many to list them all."""
    if grid is None:
        return []
    ratio = ratio_value(image.ratio) if image.ratio else None
    resolution = image.resolution if image.resolution in on_grid.resolutions(grid) else None
    shapes: list[tuple[Size | None, Fraction | None]] = []
    if image.size is not None:
        own = Fraction(image.size.width, image.size.height)
        shapes.append((image.size if on_grid.fits(image.size, grid) else None, own))
        shapes.append((on_grid.covering(image.size, grid, resolution), ratio or own))
        shapes.append((on_grid.largest(image.size, grid), ratio or own))
    elif image.ratio is None or ratio is not None:
        shapes.append((on_grid.of_ratio(ratio or Fraction(1), resolution, grid), ratio or Fraction(1)))
    return [
        Option(
            Geometry(size=size),
            size,
            f"{named.numerator}:{named.denominator}",
            resolution or on_grid.tier(size),
        )
        for size, named in dict.fromkeys(shapes)
        if size is not None and named is not None
    ]


def _matching(image: Image, capabilities: Capabilities, options: list[Option]) -> list[Option] | Problem:
    """The options of the declared ratio and resolution."""
    model = f"model {capabilities.model}" if capabilities.model else "the service"
    # A size is covered by any ratio; without one, no ratio means what the service makes of it.
    ratio = image.ratio or (capabilities.default_ratio if image.size is None else None)
    if ratio is not None:
        wanted = ratio_value(ratio)
        of_ratio = [o for o in options if o.ratio == ratio or (wanted and ratio_value(o.ratio) == wanted)]
        if not of_ratio:
            allowed = _listed(sorted({o.ratio for o in options}, key=_ratio_order))
            return Problem("ratio", f"{model} has no ratio {ratio}", f"allowed: {allowed}")
    else:
        of_ratio = options
    if image.resolution is None:
        return of_ratio
    if capabilities.resolutions_in_model:
        if image.resolution in capabilities.resolutions_in_model:
            return of_ratio
        own = _listed(capabilities.resolutions_in_model)
        return Problem(
            "resolution",
            f"{model} gives {own}, not {image.resolution}: its name says the resolution",
            "leave resolution out, or choose the model of that resolution",
        )
    of_grid = on_grid.resolutions(capabilities.grid) if capabilities.grid else ()
    tiers = sorted({*of_grid, *(o.tier for o in options if o.tier)}, key=_tier_order)
    if image.resolution not in tiers:
        allowed = f"allowed: {_listed(tiers)}" if tiers else f"{model} has no resolutions: leave it out"
        return Problem("resolution", f"{model} has no resolution {image.resolution}", allowed)
    of_both = [o for o in of_ratio if o.tier == image.resolution]
    if not of_both:
        ratios = sorted({o.ratio for o in options if o.tier == image.resolution}, key=_ratio_order)
        return Problem(
            "resolution",
            f"{model} has no ratio {ratio} at {image.resolution}"
            + ("" if image.ratio else f", and no ratio means {ratio}"),
            f"ratios at {image.resolution}: {_listed(ratios)}",
        )
    return of_both


def _covering(image: Image, want: Size, options: list[Option], price_of: PriceOf) -> Ask | Problem:
    known = [(option, option.size) for option in options if option.size is not None]
    if not known:
        return Problem("size", "the service does not let anybody choose a size", "leave size out")
    if image.fit == "exact":
        exact = [option for option in options if option.asks.size == want]
        if not exact:
            near = sorted({size for _, size in known}, key=lambda size: (_distance(size, want), size))[:3]
            return Problem(
                "size",
                f"fit: exact, and the service cannot generate exactly {want}",
                f"nearest: {_listed(map(str, near))}; or let fit be cover, contain or fill",
            )
        best = min(exact, key=_rank(price_of))
        return Ask(best.asks, best.size, best.tier)
    covering = [o for o, size in known if size.width >= want.width and size.height >= want.height]
    if covering:
        best, *others = sorted(covering, key=_rank(price_of))
        return Ask(best.asks, best.size, best.tier, tuple(other.asks for other in others))
    nearest, largest = min(known, key=lambda pair: (_scale(pair[1], want), -pair[1].pixels))
    if image.upscale:
        return Ask(nearest.asks, largest, nearest.tier)
    return Problem(
        "size",
        f"nothing that the service generates covers {want}; the largest that comes near is {largest}",
        "make size smaller, or say upscale: true",
    )


def _rank(price_of: PriceOf) -> Callable[[Option], tuple[object, ...]]:
    def rank(option: Option) -> tuple[object, ...]:
        price = price_of(option)
        size = option.size or Size(0, 0)
        return (price is None, price or 0.0, _tier_order(option.tier), size.pixels, size)

    return rank


def _tier_of(capabilities: Capabilities) -> str | None:
    return next((o.tier for o in capabilities.sizes if o.size == capabilities.default_size), None)


def _tier_order(tier: str | None) -> int:
    return TIERS.index(tier) if tier in TIERS else -1


def _ratio_order(ratio: str) -> tuple[bool, Fraction]:
    value = ratio_value(ratio)
    return (value is None, value or Fraction(0))


def _scale(have: Size, want: Size) -> float:
    return max(want.width / have.width, want.height / have.height)


def _distance(have: Size, want: Size) -> float:
    return abs(math.log(have.width / want.width)) + abs(math.log(have.height / want.height))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
