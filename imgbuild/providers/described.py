"""Capabilities as a manifest describes them, for types whose abilities are not known beforehand. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from imgbuild.core.image import Json, Size
from imgbuild.core.manifest.capability_model import CapabilitiesConfig, CapabilityFields
from imgbuild.core.manifest.fields import MAX_EDGE, parse_size
from imgbuild.core.plan.capabilities import (
    Capabilities,
    RatioOption,
    ReferenceLimits,
    SizeGrid,
    SizeOption,
    UnknownModel,
)
from imgbuild.core.plan.geometry import ratio_value

_EDGES = {"0.5k": 512, "1k": 1024, "2k": 2048, "4k": 4096, "8k": 8192}
_EVERY_SIZE = SizeGrid(1, 1, MAX_EDGE**2, MAX_EDGE, MAX_EDGE)
_COMMON = ("1:1", "5:4", "4:3", "3:2", "16:9", "2:1", "21:9", "3:1", "4:1", "8:1")
_NEAR = 0.025
"""Services call 1344x1024 a 4:3: so far from a common ratio a size still has its name."""


@dataclass(frozen=True, slots=True)
class DescribedModels:
    """What each named model can be asked for; without any named one, what every model can."""

    every: Capabilities
    named: Mapping[str, Capabilities]

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What `model` can be asked for."""
        if not self.named:
            return replace(self.every, model=model)
        return self.named.get(model or "") or UnknownModel(model, self.known())

    def known(self) -> tuple[str, ...]:
        """The named models, in their order."""
        return tuple(self.named)

    def all(self) -> tuple[Capabilities, ...]:
        """Every description that an image can meet."""
        return tuple(self.named.values()) or (self.every,)


def read_capabilities(description: Json, base: Capabilities) -> DescribedModels:
    """The models of a provider's `capabilities`; what they leave out is as in `base`.

    Raises:
        ValueError: the description is wrong; the message says where.
    """
    try:
        config = CapabilitiesConfig.model_validate(description or {})
    except ValidationError as error:
        raise ValueError(f"capabilities: {first_problem(error)}") from None
    named = {
        name: replace(_capabilities(_merged(config, fields), base), model=name)
        for name, fields in (config.models or {}).items()
    }
    return DescribedModels(_capabilities(config, base), named)


def first_problem(error: ValidationError) -> str:
    """Where and what, of the first thing that is wrong."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("<", "[")))
    return f"{where}: {first['msg']}" if where else first["msg"]


def _merged(every: CapabilityFields, one: CapabilityFields) -> CapabilityFields:
    """A model's own members over those of all."""
    given = {
        name: getattr(each, name) for each in (every, one) for name in each.model_fields_set - {"models"}
    }
    own = one.model_fields_set
    if "ratios" in own and isinstance(one.ratios, dict) and "resolutions" not in own:
        # Its ratios say their resolutions themselves.
        given.pop("resolutions", None)
    return CapabilityFields.model_construct(_fields_set=set(given), **given)


def _capabilities(fields: CapabilityFields, base: Capabilities) -> Capabilities:
    shaped = fields.sizes is not None or fields.grid is not None or fields.ratios is not None
    found = base
    if shaped:
        found = replace(
            found, any_size=False, sizes=_sizes(fields), grid=_grid(fields), ratios=tuple(_ratios(fields))
        )
    elif fields.resolutions or fields.pixels or fields.default_ratio:
        raise ValueError("capabilities: resolutions, pixels and default_ratio need ratios")
    if isinstance(fields.ratios, dict) and fields.resolutions:
        raise ValueError("capabilities: ratios that are listed by resolution need no resolutions")
    in_model = fields.resolution_in_model
    references = fields.references
    told: dict[str, object] = {
        "default_size": parse_size(fields.default_size) if fields.default_size else None,
        "default_ratio": fields.default_ratio,
        "default_resolution": fields.default_resolution,
        "resolutions_in_model": (in_model,) if in_model else None,
        "default_quality": fields.default_quality,
        "max_n": fields.max_n,
        "seed": fields.seed,
        "negative_prompt": fields.negative_prompt,
        "mask": fields.mask,
        "references": ReferenceLimits(references.max, references.files) if references else None,
        "params": tuple(fields.params) if fields.params is not None else None,
    }
    words = {"qualities": fields.qualities, "formats": fields.formats, "backgrounds": fields.backgrounds}
    told |= {name: tuple(value) for name, value in words.items() if isinstance(value, list)}
    anything = {name: None for name, value in words.items() if value == "any"}
    set_ones = {name: value for name, value in told.items() if value is not None}
    return replace(found, **set_ones, **anything)  # type: ignore[arg-type]


def _sizes(fields: CapabilityFields) -> tuple[SizeOption, ...]:
    if isinstance(fields.sizes, dict):
        return tuple(_size(text, tier) for tier, texts in fields.sizes.items() for text in texts)
    return tuple(_size(text, None) for text in fields.sizes) if isinstance(fields.sizes, list) else ()


def _size(text: str, tier: str | None) -> SizeOption:
    size = parse_size(text)
    return SizeOption(size, ratio_name(size), tier)


def _grid(fields: CapabilityFields) -> SizeGrid | None:
    if fields.sizes == "any":
        return _EVERY_SIZE
    grid = fields.grid
    if grid is None:
        return None
    return SizeGrid(grid.step, grid.min_pixels, grid.max_pixels, grid.max_edge, grid.max_aspect)


def _ratios(fields: CapabilityFields) -> Iterable[RatioOption]:
    if isinstance(fields.ratios, dict):
        pairs: Iterable[tuple[str | None, Sequence[str]]] = fields.ratios.items()
    else:
        tiers: Sequence[str | None] = fields.resolutions or [fields.resolution_in_model]
        pairs = [(tier, fields.ratios or []) for tier in tiers]
    for tier, ratios in pairs:
        for ratio in ratios:
            yield RatioOption(ratio, tier, _pixels(ratio, tier or "1k", fields.pixels or {}))


def _pixels(ratio: str, tier: str, at_1k: Mapping[str, str]) -> Size | None:
    """About what comes back: chooses a generation that covers a wanted size, and nothing else."""
    value = ratio_value(ratio)
    if value is None:
        return None
    if ratio in at_1k:
        size, scale = parse_size(at_1k[ratio]), _EDGES[tier] / _EDGES["1k"]
        return Size(int(size.width * scale), int(size.height * scale))
    # As many pixels as a square of the resolution, in steps that every model knows, on the small side.
    width = math.sqrt(_EDGES[tier] ** 2 * value)
    return Size(*(max(int(edge // 16 * 16), 16) for edge in (width, width / value)))


def ratio_name(size: Size) -> str:
    """The common ratio that a size comes near to, or its own."""
    long, short = max(size.width, size.height), min(size.width, size.height)
    near = min(_COMMON, key=lambda name: _distance(name, long / short))
    if _distance(near, long / short) > _NEAR:
        divisor = math.gcd(size.width, size.height)
        return f"{size.width // divisor}:{size.height // divisor}"
    return near if size.width >= size.height else ":".join(reversed(near.split(":")))


def _distance(name: str, value: float) -> float:
    ratio = ratio_value(name)
    return abs(value / float(ratio) - 1) if ratio else math.inf
