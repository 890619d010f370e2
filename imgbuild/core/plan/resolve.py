"""An image against a model's capabilities: what to ask for, or every reason why it cannot be asked."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from imgbuild.core.image import FileReference, Image, ImageReference, output_format
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.core.plan.cost import PerImage, estimate
from imgbuild.core.plan.geometry import Ask, Option, Problem, choose
from imgbuild.core.suggest import did_you_mean

OPAQUE_FORMATS = frozenset({"jpeg"})


@dataclass(frozen=True, slots=True)
class Resolved:
    """An image with everything that its provider decides: ready to be hashed and planned."""

    image: Image
    provider_type: str
    ask: Ask
    price: float | None
    """Of one result, in `unit`; None where nobody told."""
    unit: str
    engine: str | None = None
    """A local engine's name and version."""
    captioned: bool = False
    """The id is drawn on the outputs (placeholder cards)."""
    sends: bool = True
    """A request for it goes over a network and may cost money."""
    max_n: int = 1
    """Results that one request can give."""
    signed: int | None = None
    """The issue of the content credentials that its files get; None where they get none."""


Shapes = dict[Hashable, Ask | Problem]
"""Shapes that were chosen before for one provider and model: thousands of images want the same one."""


def resolve(
    image: Image, capabilities: Capabilities, per_image: PerImage | None, shapes: Shapes | None = None
) -> Ask | list[Problem]:
    """What to ask for. Every unsupported field is a problem that says what is allowed."""
    problems = [*_unsupported(image, capabilities), *_transparency(image)]

    def price_of(option: Option) -> float | None:
        return estimate(
            per_image, capabilities, quality=image.quality, tier=option.tier, size=option.asks.size
        )

    wish = (image.size, image.ratio, image.resolution, image.fit, image.upscale, image.quality)
    known = {} if shapes is None else shapes
    if wish not in known:
        known[wish] = choose(image, capabilities, price_of)
    ask = known[wish]
    if isinstance(ask, Problem):
        return [*problems, ask]
    return problems or ask


def unknown_model(image: Image, unknown: UnknownModel, provider_type: str) -> Problem:
    """The problem of a model that the provider does not have."""
    if unknown.model is None:
        return Problem("model", f"{provider_type} needs a model", f"known: {', '.join(unknown.known)}")
    return Problem(
        "model",
        f'{provider_type} has no model "{unknown.model}"',
        _allowed(unknown.model, unknown.known, "known"),
    )


def _transparency(image: Image) -> Iterable[Problem]:
    format = output_format(image.output)
    if image.background == "transparent" and format in OPAQUE_FORMATS:
        yield Problem(
            "background",
            f"background: transparent cannot be kept in {image.output}: {format} has no transparency",
            "let the output end in .png, .webp or .avif",
        )
    elif image.background == "transparent" and image.format in OPAQUE_FORMATS:
        yield Problem(
            "format",
            f"background: transparent cannot be generated as {image.format}",
            "let format be png or webp, or leave it out",
        )


def _unsupported(image: Image, capabilities: Capabilities) -> Iterable[Problem]:
    model = f"model {capabilities.model}" if capabilities.model else "the provider"
    words: tuple[tuple[str, str | None, tuple[str, ...] | None], ...] = (
        ("quality", image.quality, capabilities.qualities),
        ("background", image.background, capabilities.backgrounds),
        ("format", image.format, capabilities.formats),
    )
    for name, value, allowed in words:
        if value is None or allowed is None or value in allowed:
            continue
        if not allowed:
            yield Problem(name, f"{model} does not let anybody choose {name}", f"leave {name} out")
            continue
        yield Problem(name, f'{model} has no {name} "{value}"', _allowed(value, allowed, "allowed"))
    for name, is_set, supported in (
        ("negative_prompt", image.negative_prompt is not None, capabilities.negative_prompt),
        ("seed", image.seed is not None, capabilities.seed),
        ("mask", image.mask is not None, capabilities.mask),
    ):
        if is_set and not supported:
            yield Problem(name, f"{model} does not take a {name}", f"leave {name} out")
    if image.mask is not None and not image.references and capabilities.mask_needs_reference:
        yield Problem("mask", f"{model} masks the first reference, and there is none", "add references")
    yield from _references(image, capabilities, model)
    for name in sorted(set(image.params) & set(capabilities.own_params)):
        message = f'params cannot set "{name}": imgbuild sets it from the fields of the image'
        yield Problem("params", message, "say it in a field of its own, and leave it out of params")
    if capabilities.params is not None:
        for name in sorted(set(image.params) - set(capabilities.params)):
            allowed_names = ", ".join(capabilities.params) or "none"
            yield Problem(
                "params", f'{model} does not know the parameter "{name}"', f"allowed: {allowed_names}"
            )


def _references(image: Image, capabilities: Capabilities, model: str) -> Iterable[Problem]:
    limits = capabilities.references
    if not image.references:
        return
    if limits.max_count == 0:
        yield Problem("references", f"{model} takes no references", "leave references out")
    elif len(image.references) > limits.max_count:
        yield Problem(
            "references",
            f"{model} takes {limits.max_count} references at most, not {len(image.references)}",
        )
    local = [r for r in image.references if isinstance(r, FileReference | ImageReference)]
    if local and not limits.files:
        yield Problem(
            "references",
            f"{model} takes references as URLs only, and {local[0]} is a file",
            "put it on the web and give its URL",
        )


def _allowed(word: str, words: Sequence[str], what: str) -> str:
    """The nearest match, and everything that would do."""
    listed = f"{what}: {', '.join(words)}"
    near = did_you_mean(word, words)
    return f"{near} {listed}" if near else listed
