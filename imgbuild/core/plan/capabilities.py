"""What a model can be asked for, as data: one `Capabilities` per provider type and model."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgbuild.core.image import Size


@dataclass(frozen=True, slots=True)
class SizeOption:
    """A size that can be asked for as WxH. `tier` is the service's own price tier, from its table."""

    size: Size
    ratio: str
    """As the service labels it, e.g. "16:9"; several sizes of one ratio may differ by a per cent."""
    tier: str | None = None
    """Lower-case resolution label: 1k, 2k, 4k."""


@dataclass(frozen=True, slots=True)
class SizeGrid:
    """A service that takes any size on a grid. Bounds are inclusive."""

    step: int
    """Both edges are multiples of this many pixels."""
    min_pixels: int
    max_pixels: int
    max_edge: int
    max_aspect: float
    """Long edge over short edge."""


@dataclass(frozen=True, slots=True)
class RatioOption:
    """A ratio (with a resolution, where the model has them) and the pixels that it is known to give."""

    ratio: str
    """W:H, or "auto"."""
    resolution: str | None
    size: Size | None
    """What comes back, as far as is known: used to choose a covering generation, never trusted after.
    None where nobody can know ("auto")."""


@dataclass(frozen=True, slots=True)
class ReferenceLimits:
    """How a model takes reference images. `max_count` 0: not at all."""

    max_count: int = 0
    files: bool = True
    """Local bytes can be sent; False: the service takes URLs only."""
    max_bytes: int | None = None
    """Per reference, in bytes."""


@dataclass(frozen=True, slots=True)
class Price:
    """An estimate for one image. Unset members match everything; the first match counts."""

    amount: float
    unit: str = "USD"
    quality: str | None = None
    tier: str | None = None
    size: Size | None = None
    as_of: str = ""
    """The date of the source, YYYY-MM-DD."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Everything that a request for one model is checked against before anything is sent.

    For the enumerations None means "anything goes" and an empty tuple "cannot be set at all".
    """

    model: str | None
    sizes: tuple[SizeOption, ...] = ()
    grid: SizeGrid | None = None
    ratios: tuple[RatioOption, ...] = ()
    auto_size: bool = False
    """`ratio: auto` lets a service that takes sizes choose one itself."""
    any_size: bool = False
    """Every size can be asked for exactly (local engines)."""
    default_size: Size | None = None
    """Asked for when the manifest gives no geometry and the service requires one."""
    default_ratio: str | None = None
    """What the service makes of a request without a ratio: a resolution alone is checked against it."""
    default_resolution: str | None = None
    """What the service gives when no resolution is asked for, where that is not its cheapest."""
    resolutions_in_model: tuple[str, ...] = ()
    """Resolutions that the model's own name already says (nothing is sent for them)."""
    qualities: tuple[str, ...] | None = ()
    default_quality: str | None = None
    """What the service uses when nothing is sent; for estimates only."""
    backgrounds: tuple[str, ...] | None = ()
    formats: tuple[str, ...] | None = ()
    """What can be asked of the service as encoding; empty: it cannot be chosen."""
    max_n: int = 1
    """Results that one request can give."""
    seed: bool = False
    negative_prompt: bool = False
    mask: bool = False
    mask_needs_reference: bool = False
    """A mask says what of the first reference may change, and nothing without one."""
    references: ReferenceLimits = field(default_factory=ReferenceLimits)
    params: tuple[str, ...] | None = None
    """Names allowed under `params`; None: handed on as they are."""
    own_params: tuple[str, ...] = ()
    """Fields that imgbuild fills in itself: under `params` they would contradict or be overwritten."""
    prices: tuple[Price, ...] = ()
    """Built-in, dated estimates; the manifest's `pricing` wins."""


@dataclass(frozen=True, slots=True)
class UnknownModel:
    """The provider has no such model. `known` lists those that it has."""

    model: str | None
    known: tuple[str, ...]
