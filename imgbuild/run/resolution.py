"""Every image against its provider's capabilities, before anything else is thought about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from imgbuild.core.errors import Diagnostic
from imgbuild.core.image import Image, Json
from imgbuild.core.manifest.model import ProviderConfig
from imgbuild.core.manifest.project import Project
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.core.plan.cost import PerImage, estimate
from imgbuild.core.plan.geometry import Problem
from imgbuild.core.plan.resolve import Resolved, Shapes, resolve, unknown_model
from imgbuild.core.suggest import did_you_mean
from imgbuild.providers.base import ConfigurableType, ProgramType, ProviderType
from imgbuild.providers.registry import known_types, provider_type

PLACEHOLDER = "placeholder"
_OWN = ("command", "submit", "poll", "auth", "ok", "statuses", "capabilities", "options")


def resolve_images(
    project: Project, types: Mapping[str, ProviderType], *, placeholder: bool
) -> tuple[tuple[Resolved, ...], list[Diagnostic]]:
    """What to ask for, for every image; and every reason why something cannot be asked."""
    diagnostics: list[Diagnostic] = []
    capabilities: dict[tuple[str, str | None], Capabilities | UnknownModel] = {}
    shapes: dict[tuple[str, str | None], Shapes] = {}
    resolved: list[Resolved] = []
    for image in project.images:
        provider = PLACEHOLDER if placeholder else image.provider
        kind = types.get(provider)
        if kind is None:
            continue
        key = (provider, image.model)
        if key not in capabilities:
            capabilities[key] = kind.capabilities(image.model)
        pricing = _pricing(project, provider)
        one = _resolve(image, kind, capabilities[key], *pricing, shapes.setdefault(key, {}))
        if isinstance(one, Resolved):
            # No model has made a card, so nobody signs that one has.
            signed = project.signing.issue if project.signing and not one.captioned else None
            resolved.append(replace(one, signed=signed) if signed else one)
        else:
            diagnostics += [_diagnostic(image, problem) for problem in one]
    return tuple(resolved), list(dict.fromkeys(diagnostics))


def provider_types(project: Project) -> tuple[Mapping[str, ProviderType], list[Diagnostic]]:
    """The types behind the providers' names, and what is wrong with them."""
    types: dict[str, ProviderType] = {}
    diagnostics: list[Diagnostic] = []
    for name, config in project.providers.items():
        kind = provider_type(config.type)
        place = project.type_places[name]
        if kind is None:
            message = f'there is no provider type "{config.type}"'
            hint = did_you_mean(config.type, known_types()) or f"known: {', '.join(known_types())}"
            diagnostics.append(Diagnostic(message, place.position, place.source_line, hint=hint))
            continue
        try:
            types[name] = kind.configured(own_options(config)) if isinstance(kind, ConfigurableType) else kind
        except ValueError as error:
            diagnostics.append(Diagnostic(f'provider "{name}": {error}', place.position, place.source_line))
    cards = provider_type(PLACEHOLDER)
    if cards is not None:
        types.setdefault(PLACEHOLDER, cards)
    return types, diagnostics


def own_options(config: ProviderConfig) -> dict[str, Json]:
    """A provider entry's members that only its type understands, where they are set, as they are written."""
    members = config.model_dump(include={*_OWN}, by_alias=True, exclude_unset=True)
    return {name: value for name, value in members.items() if value is not None}


def _resolve(
    image: Image,
    kind: ProviderType,
    capabilities: Capabilities | UnknownModel,
    per_image: PerImage | None,
    unit: str | None,
    shapes: Shapes,
) -> Resolved | list[Problem]:
    if isinstance(capabilities, UnknownModel):
        return [unknown_model(image, capabilities, kind.name)]
    ask = resolve(image, capabilities, per_image, shapes)
    if isinstance(ask, list):
        return ask
    price = estimate(per_image, capabilities, quality=image.quality, tier=ask.tier, size=ask.asked.size)
    return Resolved(
        image,
        kind.name,
        ask,
        price=price,
        unit=unit or next((price.unit for price in capabilities.prices), "USD"),
        engine=kind.engine,
        captioned=kind.name == PLACEHOLDER,
        # A program with a price is no free engine: whatever it calls is paid for.
        sends=not kind.local or (per_image is not None and isinstance(kind, ProgramType)),
        max_n=capabilities.max_n,
    )


def _pricing(project: Project, provider: str) -> tuple[PerImage | None, str | None]:
    config = project.providers.get(provider)
    pricing = config.pricing if config else None
    return (pricing.per_image, pricing.unit) if pricing else (None, None)


def _diagnostic(image: Image, problem: Problem) -> Diagnostic:
    place = image.origin.place(problem.field)
    return Diagnostic(problem.message, place.position, place.source_line, place.chain, problem.hint)
