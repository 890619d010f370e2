"""The placeholder draws cards of the asked size, offline, different for every take."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import pytest

from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities
from imgbuild.images import CARD_VERSION
from imgbuild.providers.base import FileResult, Finished, ProviderSettings, Request
from imgbuild.providers.placeholder import TYPE, placeholder_size

Settings = Callable[..., ProviderSettings]


def draw(settings: Settings, request: Request) -> list[bytes]:
    async def scene() -> Finished:
        provider = TYPE.connect(settings(None, type="placeholder", api_key=None))
        finished = await provider.submit(request)
        await provider.aclose()
        assert isinstance(finished, Finished)
        return finished

    results = asyncio.run(scene()).results
    return [result.path.read_bytes() for result in results if isinstance(result, FileResult)]


def size_of(png: bytes) -> Size:
    return Size(*struct.unpack(">II", png[16:24]))


@pytest.mark.parametrize(
    ("size", "ratio", "resolution", "expected"),
    [
        (Size(1200, 630), None, None, Size(1200, 630)),
        (Size(3, 5), "16:9", "4k", Size(3, 5)),
        (None, None, None, Size(1024, 1024)),
        (None, "auto", "2k", Size(2048, 2048)),
        (None, "16:9", None, Size(1024, 576)),
        (None, "9:16", "1k", Size(576, 1024)),
        (None, "1:1", "0.5k", Size(512, 512)),
        (None, "21:9", "8k", Size(8192, 3511)),
        (None, "10000:1", None, Size(1024, 1)),
    ],
)
def test_sizes(size: Size | None, ratio: str | None, resolution: str | None, expected: Size) -> None:
    assert placeholder_size(size, ratio, resolution) == expected


def test_a_card_has_the_size_and_the_same_bytes_every_time(settings: Settings) -> None:
    request = Request("a red fox", "any-model", size=Size(320, 200), seed=7, negative_prompt="no")
    (card,) = draw(settings, request)
    assert size_of(card) == Size(320, 200)
    assert draw(settings, request) == [card]


def test_takes_look_different(settings: Settings) -> None:
    cards = draw(settings, Request("a red fox", ratio="4:3", resolution="0.5k", n=3))
    assert len(set(cards)) == 3
    assert {size_of(card) for card in cards} == {Size(512, 384)}


def test_it_takes_everything_and_costs_nothing() -> None:
    found = TYPE.capabilities("whatever")
    assert isinstance(found, Capabilities)
    assert found.any_size
    assert found.qualities is found.backgrounds is found.formats is found.params is None
    assert found.seed
    assert found.negative_prompt
    assert found.mask
    assert TYPE.local
    assert not TYPE.needs_key


def test_its_engine_changes_when_cards_do() -> None:
    assert TYPE.engine == f"placeholder/{CARD_VERSION}"


def test_it_has_no_tasks_and_no_links(settings: Settings) -> None:
    provider = TYPE.connect(settings(None))
    with pytest.raises(ProviderFailure):
        asyncio.run(provider.poll("t"))
