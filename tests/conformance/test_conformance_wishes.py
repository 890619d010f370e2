"""For any wish, in every dialect and for every model: refused with what is allowed, or accepted by the service.

What is known of a model stands twice: as capabilities beside the client, and as rules in the strict emulator,
each transcribed from the documents on its own. Here they check each other, request by request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from itertools import combinations, count
from pathlib import Path
from typing import Any

import pytest
import pyvips
from declarations import shapes, words
from dialects import Dialect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbench_project import CANARY, service

from imgbuild.core.errors import FailureKind, Place, Position, ProviderFailure
from imgbuild.core.image import FileReference, Image, ImageReference, Reference, Size, UrlReference
from imgbuild.core.manifest.fields import BACKGROUNDS
from imgbuild.core.plan.geometry import TIERS, Ask, Problem
from imgbuild.core.plan.resolve import resolve
from imgbuild.images.card import draw_card
from imgbuild.providers.base import Provider, ProviderSettings, ReferenceFile, Request

EXAMPLES = 3000 if os.environ.get("IMGBUILD_TESTS_FULL") else 40
ACCEPTED = "[fault:402]"
"""Strikes once the request was read and found right: it says "accepted" without a picture being drawn."""


class Here:
    """Where an image stands that no manifest has."""

    def place(self, field: str) -> Place:
        """Always the same."""
        return Place(Position("imgbuild.yaml", 1, 1))


class Bench:
    """A dialect's real client, connected to the real emulator, and references to hand to it."""

    def __init__(self, dialect: Dialect, url: str, folder: Path) -> None:
        self.dialect = dialect
        self._loop = asyncio.new_event_loop()
        numbers = count()
        entry = dialect.entry(url)
        self._provider: Provider = dialect.kind().connect(
            ProviderSettings(
                name="studio",
                type=dialect.type,
                base_url=str(entry["base_url"]),
                api_key=CANARY,
                timeout=30,
                options=dialect.own,
                scratch=lambda: folder / f"scratch-{next(numbers)}",
            )
        )
        self._picture = folder / "reference.png"
        draw_card(Size(64, 64), "reference", self._picture)
        self._mask = folder / "mask.png"
        clear = pyvips.Image.black(64, 64, bands=4).copy(interpretation="srgb")
        clear.write_to_file(str(self._mask))

    def close(self) -> None:
        """Close connections."""
        self._loop.run_until_complete(self._provider.aclose())
        self._loop.close()

    def check(self, image: Image) -> None:
        """Resolve a wish; hold the refusal to its words, or the request to the service's rules."""
        capabilities = self.dialect.capabilities(image.model)
        found = resolve(image, capabilities, None)
        if isinstance(found, Ask):
            self._send(image, found, capabilities.max_n)
            return
        assert found
        for problem in found:
            assert_helpful(problem)

    def _send(self, image: Image, ask: Ask, max_n: int) -> None:
        request = Request(
            prompt=f"{image.prompt} {ACCEPTED}",
            model=image.model,
            negative_prompt=image.negative_prompt,
            size=ask.asked.size,
            ratio=ask.asked.ratio,
            resolution=ask.asked.resolution,
            quality=image.quality,
            background=image.background,
            format=image.format,
            seed=image.seed,
            n=min(image.takes, max_n),
            references=tuple(self._reference(each, self._picture) for each in image.references),
            mask=self._reference(image.mask, self._mask) if image.mask else None,
            params=image.params,
        )
        with pytest.raises(ProviderFailure) as raised:
            self._loop.run_until_complete(self._provider.submit(request))
        assert raised.value.kind is FailureKind.CREDIT, f"{raised.value.message}\n{request}"

    def _reference(self, reference: Reference, file: Path) -> ReferenceFile:
        url = reference.url if isinstance(reference, UrlReference) else None
        return ReferenceFile(file, sha256(file.read_bytes()).hexdigest(), "image/png", url)


def assert_helpful(problem: Problem) -> None:
    """A refusal says what is wrong and what would do instead."""
    assert problem.field in IMAGE_FIELDS
    assert problem.message
    says = f"{problem.message} {problem.hint or ''}"
    ways_out = (
        "allowed", "leave", "takes", "nearest", "at most", "largest", "or say", "ratios at", "let ", "give ", "add ",
    )  # fmt: skip
    assert any(word in says for word in ways_out), problem


IMAGE_FIELDS = {
    "size", "ratio", "resolution", "quality", "background", "format", "negative_prompt", "seed", "mask",
    "references", "params", "takes", "output",
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One connection for all the requests of a dialect."""
    with ExitStack() as stack:
        running = stack.enter_context(service())
        bench = Bench(dialect, running.url, tmp_path_factory.mktemp("wishes"))
        stack.callback(bench.close)
        yield bench


def plain(model: str, **fields: Any) -> Image:
    """An image that wishes for nothing but a picture."""
    return Image(
        id="hero", name="hero", prompt="a harbour", provider="studio", output="hero.png", model=model,
        origin=Here(), **fields,
    )  # fmt: skip


def test_all_that_is_listed_is_accepted(bench: Bench) -> None:
    for model in bench.dialect.models():
        capabilities = bench.dialect.capabilities(model)
        for fields, _ in (*shapes(capabilities), *((fields, None) for fields in words(capabilities))):
            changes = dict(fields)
            if "size" in changes:
                width, height = map(int, changes["size"].split("x"))
                changes["size"] = Size(width, height)
            image = plain(model, **changes)
            assert isinstance(resolve(image, capabilities, None), Ask), (model, fields)
            bench.check(image)
        for references in reference_lists(capabilities.references.max_count):
            bench.check(plain(model, references=references))


def test_listed_words_in_pairs_are_refused_helpfully_or_accepted(bench: Bench) -> None:
    listed = list(words(bench.dialect.capabilities()))
    for one, other in combinations(listed, 2):
        if one.keys().isdisjoint(other):
            bench.check(plain(bench.dialect.model, **one, **other))


def test_a_mask_is_accepted_where_there_is_one(bench: Bench) -> None:
    for model in bench.dialect.models():
        capabilities = bench.dialect.capabilities(model)
        if capabilities.mask:
            file = FileReference("a.png")
            image = plain(model, mask=file, references=(file,) if capabilities.references.max_count else ())
            assert isinstance(resolve(image, capabilities, None), Ask)
            bench.check(image)


def reference_lists(most: int) -> Iterator[tuple[Reference, ...]]:
    """One reference of each sort, as many as there may be, and one too many."""
    url, file, other = UrlReference("https://e.example/a.png"), FileReference("a.png"), ImageReference("b")
    yield from ((url,), (file,), (other,))
    for number in {2, most, most + 1}:
        yield (url,) * number
        yield (file,) * number
        yield (url, *(file,) * (number - 1))


RATIOS = """
auto 1:1 2:3 3:2 3:4 4:3 4:5 5:4 9:16 16:9 1:2 2:1 1:3 3:1 9:21 21:9 1:4 4:1 1:8 8:1 32:18 7:5
"""

ratios = st.sampled_from(RATIOS.split())
QUALITIES = ("low", "medium", "high", "auto", "xhigh", "max", "hd")
FORMATS = ("png", "jpeg", "webp", "gif", "avif")
sides = st.integers(1, 4200) | st.sampled_from([64, 512, 720, 768, 1024, 1080, 1536, 1920, 2048, 3840, 4096])
references = st.one_of(
    st.builds(UrlReference, st.sampled_from(["https://e.example/a.png", "http://e.example:8080/b?c=d"])),
    st.builds(FileReference, st.just("refs/a.png")),
    st.builds(ImageReference, st.just("other")),
)
wishes = st.fixed_dictionaries(
    {},
    optional={
        "size": st.builds(Size, sides, sides),
        "ratio": ratios,
        "resolution": st.sampled_from(TIERS),
        "quality": st.sampled_from(QUALITIES),
        "background": st.sampled_from(BACKGROUNDS),
        "format": st.sampled_from(FORMATS),
        "fit": st.sampled_from(["cover", "contain", "fill", "exact"]),
        "upscale": st.booleans(),
        "seed": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**31),
        "negative_prompt": st.sampled_from(["text", "字"]),
        "takes": st.integers(1, 20),
        "references": st.lists(references, max_size=18).map(tuple),
        "mask": st.just(FileReference("mask.png")),
        "output": st.sampled_from(["hero.png", "hero.jpg", "hero.webp", "hero.avif"]),
    },
)


def any_model(dialect: Dialect) -> st.SearchStrategy[str]:
    """Every model, and the one that can be asked for most more often than the others."""
    return st.just(dialect.model) | st.sampled_from(dialect.models())


def sparse(fields: dict[str, Any], kept: set[str]) -> dict[str, Any]:
    """Only some of the fields: a wish for everything at once is refused nearly always."""
    return {name: value for name, value in fields.items() if name in kept}


def singles() -> Iterator[dict[str, Any]]:
    """Each known word of each field, by itself."""
    for name, values in {
        "ratio": RATIOS.split(),
        "resolution": TIERS,
        "quality": QUALITIES,
        "background": BACKGROUNDS,
        "format": FORMATS,
        "takes": (2, 20),
        "seed": (-1, 0, 2**31, 2**63 - 1),
        "negative_prompt": ("text",),
        "mask": (FileReference("mask.png"),),
    }.items():
        yield from ({name: value} for value in values)


def test_each_word_by_itself_is_refused_helpfully_or_accepted(bench: Bench) -> None:
    for model in bench.dialect.models():
        for fields in singles():
            bench.check(plain(model, **fields))


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_wish_is_refused_helpfully_or_accepted(bench: Bench, data: st.DataObject) -> None:
    model = data.draw(any_model(bench.dialect), "model")
    fields = data.draw(wishes, "fields")
    kept = data.draw(st.sets(st.sampled_from(sorted(fields)), max_size=4), "kept") if fields else set()
    image = plain(model)
    bench.check(replace(image, **sparse(fields, kept)))


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_listed_words_together_are_refused_helpfully_or_accepted(
    bench: Bench, data: st.DataObject
) -> None:
    model = data.draw(any_model(bench.dialect), "model")
    capabilities = bench.dialect.capabilities(model)
    fields: dict[str, Any] = {}
    shape = data.draw(st.sampled_from([{}, *(fields for fields, _ in shapes(capabilities))]), "shape")
    fields |= shape
    for some in data.draw(st.lists(st.sampled_from(list(words(capabilities))), max_size=4), "words"):
        fields |= some
    if "size" in fields:
        width, height = map(int, fields["size"].split("x"))
        fields["size"] = Size(width, height)
    if capabilities.references.max_count:
        fields["references"] = tuple(
            data.draw(st.lists(references, max_size=capabilities.references.max_count), "references")
        )
    bench.check(plain(model, **fields))
