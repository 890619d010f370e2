"""What a model can be asked for, in a line that a person can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgbuild.core.plan.capabilities import Capabilities, Price

_FEW = 6


def capability_words(model: Capabilities) -> str:
    """E.g. "48 sizes (1k, 2k, 4k), quality low medium high, as png jpeg webp, 8 a request, 16 references"."""
    return ", ".join(_parts(model))


def price_words(prices: Iterable[Price]) -> str | None:
    """The range of the built-in estimates and their date: "0.005-0.211 USD an image (as of 2026-11-21)"."""
    known = list(prices)
    if not known:
        return None
    low, high = min(p.amount for p in known), max(p.amount for p in known)
    amount = f"{low:g}" if low == high else f"{low:g}-{high:g}"
    date = max(p.as_of for p in known)
    return f"{amount} {known[0].unit} an image{f' (as of {date})' if date else ''}"


def _parts(model: Capabilities) -> Iterator[str]:
    yield from _shapes(model)
    if model.qualities:
        yield f"quality {' '.join(model.qualities)}"
    if model.backgrounds:
        yield f"background {' '.join(model.backgrounds)}"
    if model.formats:
        yield f"as {' '.join(model.formats)}"
    if model.max_n > 1:
        yield f"{model.max_n} a request"
    limits = model.references
    if limits.max_count:
        yield f"{limits.max_count} references{'' if limits.files else ' (URLs only)'}"
    extras = {"mask": model.mask, "seed": model.seed, "negative prompt": model.negative_prompt}
    yield from (name for name, offered in extras.items() if offered)


def _shapes(model: Capabilities) -> Iterator[str]:
    if model.any_size:
        yield "any size"
    if model.grid:
        grid = model.grid
        yield f"any size in steps of {grid.step} up to {grid.max_edge}"
    if model.sizes:
        tiers = dict.fromkeys(option.tier for option in model.sizes if option.tier)
        few = len(model.sizes) <= _FEW
        listed = " ".join(str(option.size) for option in model.sizes) if few else f"{len(model.sizes)} sizes"
        yield f"{listed} ({', '.join(tiers)})" if tiers else listed
    if model.ratios:
        ratios = dict.fromkeys(option.ratio for option in model.ratios)
        resolutions = dict.fromkeys(option.resolution for option in model.ratios if option.resolution)
        words = f"ratios {' '.join(ratios)}"
        yield f"{words} at {', '.join(resolutions)}" if resolutions else words
