"""The clients of jimmyai and kyy against their emulated services: everything that is listed is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.plan.capabilities import Capabilities
from imgbuild.images.card import draw_card
from imgbuild.providers import jimmyai, kyy
from imgbuild.providers.base import (
    Finished,
    Pending,
    Provider,
    ProviderSettings,
    ProviderType,
    ReferenceFile,
    Request,
)

Settings = Callable[..., ProviderSettings]
TYPES: dict[str, tuple[ProviderType, str]] = {
    "jimmyai": (jimmyai.TYPE, ""),
    "kyy": (kyy.TYPE, "/kyyReactApiServer"),
}
MODELS = [(name, model) for name, (kind, _) in TYPES.items() for model in kind.known_models()]


def requests(found: Capabilities) -> Iterable[tuple[Request, str | None]]:
    """One request for everything that a model's table lists, with the pixels that are expected."""
    model = found.model
    yield Request("nothing declared", model), None
    for size in found.sizes:
        yield Request("a size", model, size=size.size), str(size.size)
    for ratio in found.ratios:
        expected = str(ratio.size) if ratio.size else None
        yield Request("a ratio", model, ratio=ratio.ratio, resolution=ratio.resolution), expected
        if ratio.resolution == "1k":
            yield Request("a ratio alone", model, ratio=ratio.ratio), expected
    for resolution in {o.resolution for o in found.ratios if o.ratio == (found.default_ratio or "1:1")}:
        yield Request("a resolution alone", model, resolution=resolution), None
    for quality in found.qualities or ():
        yield Request("a quality", model, quality=quality), None


def with_provider(kind: ProviderType, settings: ProviderSettings, scene: Callable[[Provider], Any]) -> Any:
    async def run() -> Any:
        provider = kind.connect(settings)
        try:
            return await scene(provider)
        finally:
            await provider.aclose()

    return asyncio.run(run())


async def finish(provider: Provider, request: Request) -> Finished:
    """Submit, and ask until it ends."""
    state = await provider.submit(request)
    for _ in range(400):
        if isinstance(state, Finished):
            return state
        await asyncio.sleep(0.02)
        state = await provider.poll(state.task_id)
    raise AssertionError("the task does not end")


@pytest.mark.parametrize(("name", "model"), MODELS)
def test_every_listed_shape_and_quality_is_accepted(
    settings: Settings, emulator: Any, name: str, model: str
) -> None:
    kind, path = TYPES[name]
    found = kind.capabilities(model)
    assert isinstance(found, Capabilities)
    everything = list(requests(found))

    async def scene(provider: Provider) -> None:
        for request, _ in everything:
            assert isinstance(await provider.submit(request), Pending)

    with_provider(kind, settings(emulator.url + path, type=name), scene)
    charges = emulator.ledger()["charges"]
    assert len(charges) == len(everything)
    for charge, (request, expected) in zip(charges, everything, strict=True):
        assert expected in (None, charge["pixels"]), request
        if request.size is not None:
            assert charge["size"] == str(request.size)


@pytest.mark.parametrize("reading", ["either", "data-uri", "base64"])
def test_local_references_reach_jimmyai_in_each_reading(
    settings: Settings, start_emulator: Callable[..., Any], tmp_path: Path, reading: str
) -> None:
    emulator = start_emulator(jimmyai_references=reading)
    local = tmp_path / "style.png"
    draw_card(Size(64, 64), "a style", local)
    references = (
        ReferenceFile(local, sha256(local.read_bytes()).hexdigest(), "image/png"),
        ReferenceFile(
            local, sha256(local.read_bytes()).hexdigest(), "image/png", "https://example.com/a.png"
        ),
    )
    own: dict[str, Json] = {"options": {"reference_encoding": reading}} if reading != "either" else {}
    kind = jimmyai.TYPE.configured(own)
    request = Request("P", "gpt-image-2", references=references)
    with_provider(kind, settings(emulator.url), lambda provider: provider.submit(request))
    (charge,) = emulator.ledger()["charges"]
    assert charge["references"][0].startswith("sha256:")
    assert charge["references"][1] == "https://example.com/a.png"


READINGS: list[tuple[str, dict[str, Any]]] = [
    *(("jimmyai", {"jimmyai_answers": shape}) for shape in ("reference", "integer-code", "flat", "faq")),
    *((name, {"error_shape": shape}) for name in TYPES for shape in ("flat", "openai")),
    *((name, {"task_error": shape}) for name in TYPES for shape in ("string", "object")),
    *((name, {"errors_under_200": True}) for name in TYPES),
]


@pytest.mark.parametrize(("name", "reading"), READINGS)
def test_each_reading_of_the_documents_gives_pictures_and_the_same_kinds_of_failure(
    settings: Settings,
    start_emulator: Callable[..., Any],
    tmp_path: Path,
    name: str,
    reading: dict[str, Any],
) -> None:
    kind, path = TYPES[name]
    emulator = start_emulator(latency=0.1, **reading)

    async def failure(provider: Provider, fault: str) -> K:
        with pytest.raises(ProviderFailure) as caught:
            await finish(provider, Request(f"[fault:{fault}]", "gpt-image-2"))
        return caught.value.kind

    async def scene(provider: Provider) -> None:
        finished = await finish(provider, Request("P", "gpt-image-2", ratio="1:1"))
        (result,) = finished.results
        await provider.download(result.url, tmp_path / "result")  # type: ignore[union-attr]
        assert [
            await failure(provider, fault)
            for fault in ("refuse", "fail", "refuse-400", "401", "402", "429", "error-200")
        ] == [K.REFUSED, K.FAILED, K.REFUSED, K.AUTH, K.CREDIT, K.RATE_LIMITED, K.INVALID]
        with pytest.raises(ProviderFailure) as caught:
            await provider.poll("task_x")
        assert caught.value.kind is K.UNUSABLE

    with_provider(kind, settings(emulator.url + path, type=name), scene)
    assert (tmp_path / "result").read_bytes().startswith(b"\x89PNG")


def test_what_kyy_may_refuse_at_4k_is_invalid_and_in_its_own_words(
    settings: Settings, start_emulator: Callable[..., Any]
) -> None:
    emulator = start_emulator(kyy_4k_ratios="wide")
    request = Request("P", "gpt-image-2", ratio="1:1", resolution="4k")
    with pytest.raises(ProviderFailure, match="1:1 is not supported at 4k") as caught:
        with_provider(kyy.TYPE, settings(emulator.url), lambda provider: provider.submit(request))
    assert caught.value.kind is K.INVALID
