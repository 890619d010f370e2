"""OpenAI's own SDK against the emulator: what it sends is accepted, what it gets it understands."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from imgbuild.core.image import Size
from imgbuild.emulator.pictures import draw
from imgbuild.images.vips import pyvips

PNG = ("reference.png", draw("reference", Size(64, 48), "png"), "image/png")


@pytest.fixture
def client(emulator: Any) -> Iterator[openai.OpenAI]:
    with connected(emulator) as client:
        yield client


def connected(emulator: Any, retries: int = 0) -> openai.OpenAI:
    """The SDK without proxies and certificates of the environment: the emulator is on loopback."""
    http = httpx.Client(trust_env=False, verify=False)
    return openai.OpenAI(
        base_url=f"{emulator.url}/v1", api_key="sk-canary-7f3a", max_retries=retries, http_client=http
    )


def picture(text: str | None) -> pyvips.Image:
    return pyvips.Image.new_from_buffer(base64.b64decode(text or ""), "")


def test_generations(client: openai.OpenAI, emulator: Any) -> None:
    answer = client.images.generate(
        model="gpt-image-2",
        prompt="a cat",
        n=3,
        size="1536x864",  # type: ignore[call-overload]
        quality="low",
        background="opaque",
        output_format="webp",
        output_compression=80,
        moderation="low",
    )
    assert len(answer.data) == 3
    shown = picture(answer.data[0].b64_json)
    assert (shown.width, shown.height) == (1536, 864)
    assert (answer.quality, answer.output_format, answer.background) == ("low", "webp", "opaque")
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert emulator.ledger()["total"]["images"] == 3


def test_edits_with_one_and_with_several_references(client: openai.OpenAI, emulator: Any) -> None:
    one = client.images.edit(model="gpt-image-2", prompt="a cat", image=PNG, size="1024x1024")
    several = client.images.edit(
        model="gpt-image-1.5", prompt="a cat", image=[PNG, PNG], input_fidelity="high", size="1024x1536", n=2
    )
    assert len(one.data or []) == 1
    assert picture((several.data or [])[1].b64_json).height == 1536
    assert [len(charge["references"]) for charge in emulator.ledger()["charges"]] == [1, 2]


def test_an_edit_with_a_mask(client: openai.OpenAI) -> None:
    shape = pyvips.Image.black(64, 48, bands=4).copy(interpretation="srgb").write_to_buffer(".png")
    mask = ("mask.png", shape, "image/png")
    answer = client.images.edit(model="gpt-image-2", prompt="a cat", image=PNG, mask=mask)
    assert len(answer.data or []) == 1


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("refuse", openai.BadRequestError, "moderation_blocked"),
        ("401", openai.AuthenticationError, "invalid_api_key"),
        ("402", openai.RateLimitError, "insufficient_quota"),
        ("429", openai.RateLimitError, "rate_limit_exceeded"),
        ("500-after-accept", openai.InternalServerError, "internal_error"),
    ],
)
def test_errors_are_the_sdks_own(
    client: openai.OpenAI, fault: str, error: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(error) as caught:
        client.images.generate(model="gpt-image-2", prompt=f"a cat [fault:{fault}]")
    assert caught.value.code == code


def test_the_sdk_keeps_the_limit_that_it_is_told(start_emulator: Callable[..., Any]) -> None:
    emulator = start_emulator(rate_limit=1, rate_window=0.3)
    with connected(emulator, retries=5) as client:
        for _ in range(2):
            client.images.generate(model="gpt-image-2", prompt="a cat", size="1024x1024")
    assert len(emulator.ledger()["charges"]) == 2


def test_the_asynchronous_sdk_too(emulator: Any) -> None:
    async def scene() -> int:
        http = httpx.AsyncClient(trust_env=False, verify=False)
        url = f"{emulator.url}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="sk-canary-7f3a", http_client=http) as client:
            calls = [client.images.generate(model="gpt-image-2", prompt=f"cat {k}") for k in range(4)]
            return sum(len(answer.data or []) for answer in await asyncio.gather(*calls))

    assert asyncio.run(scene()) == 4
