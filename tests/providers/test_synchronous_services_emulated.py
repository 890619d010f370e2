"""The clients of openai and jimmyai-sync against their emulated services: what is listed is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure
from imgbuild.core.image import Json, Size
from imgbuild.core.plan.capabilities import Capabilities
from imgbuild.core.plan.grid import fits
from imgbuild.emulator import images_api
from imgbuild.emulator.submissions import Refused
from imgbuild.images.card import draw_card
from imgbuild.images.decode import inspect
from imgbuild.images.vips import pyvips
from imgbuild.providers import jimmyai_sync, openai
from imgbuild.providers.base import (
    FileResult,
    Finished,
    Provider,
    ProviderSettings,
    ProviderType,
    ReferenceFile,
    Request,
    Result,
)
from imgbuild.providers.images_api import GPT_IMAGE_GRID

Settings = Callable[..., ProviderSettings]
TYPES: dict[str, tuple[ProviderType, str]] = {
    "openai": (openai.TYPE, "/v1"),
    "jimmyai-sync": (jimmyai_sync.TYPE, ""),
}
MODELS = [(name, model) for name, (kind, _) in TYPES.items() for model in kind.known_models()]
EACH_TYPE = pytest.mark.parametrize("name", TYPES)
VALUES: dict[str, Json] = {
    "complexity": "low",
    "moderation": "low",
    "output_compression": 70,
    "safety_identifier": "x",
    "user": "x",
    "input_fidelity": "low",
}


def with_provider(kind: ProviderType, settings: ProviderSettings, scene: Callable[[Provider], Any]) -> Any:
    async def run() -> Any:
        provider = kind.connect(settings)
        try:
            return await scene(provider)
        finally:
            await provider.aclose()

    return asyncio.run(run())


async def finish(provider: Provider, request: Request) -> Finished:
    finished = await provider.submit(request)
    assert isinstance(finished, Finished)
    return finished


def path_of(result: Result) -> Path:
    assert isinstance(result, FileResult)
    return result.path


def capabilities(name: str, model: str) -> Capabilities:
    found = TYPES[name][0].capabilities(model)
    assert isinstance(found, Capabilities)
    return found


def requests(found: Capabilities, references: tuple[ReferenceFile, ...]) -> Iterable[Request]:
    """One request for everything that a model's table lists."""
    plain = Request("P", found.model, size=Size(1024, 1024))
    yield Request("P", found.model)
    if found.auto_size:
        yield Request("P", found.model, ratio="auto")
    for option in found.sizes:
        yield replace(plain, size=option.size)
    for size in (Size(1536, 864), Size(1280, 512), Size(480, 1440)) if found.grid else ():
        yield replace(plain, size=size)
    for quality in found.qualities or ():
        yield replace(plain, quality=quality)
    for background in found.backgrounds or ():
        yield replace(plain, background=background, format="webp")
    for format in found.formats or ():
        yield replace(plain, format=format)
    yield replace(plain, n=found.max_n)
    yield replace(plain, references=references[:1])
    yield replace(plain, references=references * 8, mask=references[0], quality="low", n=found.max_n)
    for name in found.params or ():
        takes_pictures = () if name == "moderation" else references
        yield replace(plain, params={name: VALUES[name]}, format="webp", references=takes_pictures)


@pytest.fixture
def references(tmp_path: Path) -> tuple[ReferenceFile, ...]:
    """A PNG with transparency, which may be a mask as well, and a WebP of the same size."""
    picture = pyvips.Image.black(64, 48, bands=4).copy(interpretation="srgb")
    for name in ("a.png", "b.webp"):
        picture.write_to_file(str(tmp_path / name))
    return tuple(
        ReferenceFile(tmp_path / name, sha256((tmp_path / name).read_bytes()).hexdigest(), media_type)
        for name, media_type in (("a.png", "image/png"), ("b.webp", "image/webp"))
    )


@pytest.mark.parametrize(("name", "model"), MODELS)
def test_everything_listed_is_accepted(
    settings: Settings, emulator: Any, references: tuple[ReferenceFile, ...], name: str, model: str
) -> None:
    kind, path = TYPES[name]
    everything = list(requests(capabilities(name, model), references))

    async def scene(provider: Provider) -> None:
        for request in everything:
            finished = await finish(provider, request)
            assert len(finished.results) == request.n
            assert finished.usage["total_tokens"]
            facts = inspect(path_of(finished.results[-1]))
            assert facts.format == (request.format or "png")
            if request.size is not None:
                assert Size(facts.width, facts.height) == request.size

    with_provider(kind, settings(emulator.url + path, type=name), scene)
    for charge, request in zip(emulator.ledger()["charges"], everything, strict=True):
        assert (charge["n"], charge["model"]) == (request.n, model)
        assert len(charge["references"]) == len(request.references) + (request.mask is not None)


@given(st.builds(Size, st.integers(1, 4200), st.integers(1, 4200)))
def test_both_transcriptions_of_the_grid_agree(size: Size) -> None:
    steps = Size(size.width // 16 * 16 or 16, size.height // 16 * 16 or 16)
    for each in (size, steps):
        try:
            images_api.grid_size(str(each))
        except Refused:
            assert not fits(each, GPT_IMAGE_GRID)
        else:
            assert fits(each, GPT_IMAGE_GRID)


READINGS: list[tuple[str, dict[str, Any]]] = [
    *((name, {"images_answer": shape}) for name in TYPES for shape in ("b64_json", "data-uri", "url")),
    *(("jimmyai-sync", {"jimmyai_sync_code": code}) for code in ("integer", "string")),
    *(("jimmyai-sync", {"error_shape": shape}) for shape in ("flat", "openai")),
    ("jimmyai-sync", {"errors_under_200": True}),
    ("jimmyai-sync", {"errors_under_200": True, "error_shape": "openai"}),
    ("openai", {"any_model": True}),
]


@pytest.mark.parametrize(("name", "reading"), READINGS)
def test_each_reading_gives_pictures_and_the_same_kinds_of_failure(
    settings: Settings,
    start_emulator: Callable[..., Any],
    tmp_path: Path,
    name: str,
    reading: dict[str, Any],
) -> None:
    kind, path = TYPES[name]
    emulator = start_emulator(**reading)
    plain = Request("P", "gpt-image-2", size=Size(2048, 2048))

    async def failure(provider: Provider, fault: str) -> K:
        with pytest.raises(ProviderFailure) as caught:
            await finish(provider, replace(plain, prompt=f"[fault:{fault}]"))
        return caught.value.kind

    async def scene(provider: Provider) -> None:
        finished = await finish(provider, plain)
        [result] = finished.results
        file = tmp_path / "fetched"
        if isinstance(result, FileResult):
            file = result.path
        else:
            await provider.download(result.url, file)
        assert inspect(file).width == 2048
        faults = ("refuse", "refuse-400", "401", "402", "429", "500", "error-200", "drop-after-accept")
        assert [await failure(provider, fault) for fault in faults] == [
            K.REFUSED, K.REFUSED, K.AUTH, K.CREDIT, K.RATE_LIMITED, K.AMBIGUOUS, K.INVALID, K.AMBIGUOUS
        ]  # fmt: skip

    with_provider(kind, settings(emulator.url + path, type=name), scene)


@EACH_TYPE
def test_an_answer_that_is_cut_or_late_may_have_been_charged(
    settings: Settings, start_emulator: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    kind, path = TYPES[name]
    emulator = start_emulator()

    async def scene(provider: Provider) -> None:
        for fault in ("truncated", "hang-after-accept"):
            with pytest.raises(ProviderFailure) as caught:
                await provider.submit(Request(f"[fault:{fault}]", "gpt-image-2", size=Size(2880, 2880)))
            assert caught.value.kind is K.AMBIGUOUS

    with_provider(kind, settings(emulator.url + path, type=name, timeout=3.0), scene)
    assert len(emulator.ledger()["charges"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_limited_service_is_never_asked_too_often(
    settings: Settings, start_emulator: Callable[..., Any]
) -> None:
    emulator = start_emulator(rate_limit=2, rate_window=0.4)

    async def scene(provider: Provider) -> None:
        for _ in range(6):
            await finish(provider, Request("P", "gpt-image-2", size=Size(1024, 1024)))

    with_provider(openai.TYPE, settings(f"{emulator.url}/v1"), scene)
    assert len(emulator.ledger()["charges"]) == 6


def test_any_model_of_a_compatible_server_will_do(
    settings: Settings, start_emulator: Callable[..., Any], tmp_path: Path
) -> None:
    emulator = start_emulator(any_model=True)
    draw_card(Size(64, 64), "style", tmp_path / "style.png")
    style = ReferenceFile(
        tmp_path / "style.png", sha256((tmp_path / "style.png").read_bytes()).hexdigest(), "image/png"
    )
    request = Request("P", "sd-turbo", size=Size(512, 512), quality="best", references=(style,))
    finished = with_provider(openai.TYPE, settings(f"{emulator.url}/v1"), lambda p: finish(p, request))
    assert inspect(path_of(finished.results[0])).width == 512
