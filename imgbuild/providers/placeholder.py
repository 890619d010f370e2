"""The `placeholder` engine: clean cards of the exact size, drawn offline, free and the same every time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, ReferenceLimits, UnknownModel
from imgbuild.core.plan.geometry import ratio_value
from imgbuild.images import CARD_VERSION
from imgbuild.providers.base import FileResult, Finished, Provider, ProviderSettings, Request

ENGINE = f"placeholder/{CARD_VERSION}"

_LONG_EDGE = {"0.5k": 512, "1k": 1024, "2k": 2048, "4k": 4096, "8k": 8192}


def placeholder_size(size: Size | None, ratio: str | None, resolution: str | None) -> Size:
    """The size of the card: `size` itself, or the ratio (default 1:1) with the resolution's long edge."""
    if size is not None:
        return size
    edge = _LONG_EDGE.get(resolution or "1k", 1024)
    value = (ratio_value(ratio) if ratio else None) or Fraction(1)
    if value >= 1:
        return Size(edge, max(round(edge / value), 1))
    return Size(max(round(edge * value), 1), edge)


class PlaceholderType:
    """The provider type `placeholder`: takes every request, sends nothing, costs nothing."""

    name = "placeholder"
    default_base_url: str | None = None
    needs_key = False
    local = True
    engine: str | None = ENGINE

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """Everything, for whatever model: a card stands in for any of them."""
        return Capabilities(
            model=model,
            any_size=True,
            qualities=None,
            backgrounds=None,
            formats=None,
            max_n=1000,
            seed=True,
            negative_prompt=True,
            mask=True,
            references=ReferenceLimits(max_count=1000),
        )

    def known_models(self) -> tuple[str, ...]:
        """None of its own."""
        return ()

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it: there is nothing to open."""
        return _Placeholder(settings)


class _Placeholder:
    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings

    async def submit(self, request: Request) -> Finished:
        """Draw the cards, in threads."""
        import asyncio

        from imgbuild.images.card import draw_card

        size = placeholder_size(request.size, request.ratio, request.resolution)
        paths = [self._settings.scratch() for _ in range(request.n)]
        for number, path in enumerate(paths, start=request.first_take):
            detail = f"take {number}" if number > 1 else ""
            await asyncio.to_thread(draw_card, size, request.prompt, path, detail=detail)
        return Finished(tuple(map(FileResult, paths)))

    async def poll(self, task_id: str) -> Finished:
        """Never needed: a card is there at once."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: placeholders have no tasks")

    async def download(self, url: str, to: Path) -> None:
        """Never needed: a card is already a file."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: placeholders have no links")

    async def aclose(self) -> None:
        """Nothing was opened."""


TYPE = PlaceholderType()
