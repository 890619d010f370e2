"""Estimates: what one image probably costs, from the manifest's prices or the built-in, dated ones."""

from __future__ import annotations

from collections.abc import Mapping

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, Price

PerImage = float | Mapping[str, float]
"""One price, or prices by "WxH", resolution, quality or "default": the most specific one counts."""


def estimate(
    per_image: PerImage | None,
    capabilities: Capabilities,
    *,
    quality: str | None,
    tier: str | None,
    size: Size | None,
) -> float | None:
    """The price of one image in the pricing unit, None where nobody told."""
    quality = quality or capabilities.default_quality
    if per_image is not None:
        if not isinstance(per_image, Mapping):
            return float(per_image)
        names = (str(size) if size else None, tier, quality, "default")
        return next((float(per_image[name]) for name in names if name and name in per_image), None)
    return next((p.amount for p in capabilities.prices if _matches(p, quality, tier, size)), None)


def _matches(price: Price, quality: str | None, tier: str | None, size: Size | None) -> bool:
    return price.quality in (None, quality) and price.tier in (None, tier) and price.size in (None, size)
