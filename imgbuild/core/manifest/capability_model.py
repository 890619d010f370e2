"""What the models of a service or program can be asked for, as the manifest describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from imgbuild.core.manifest.base_model import Model, without_extensions
from imgbuild.core.manifest.fields import MAX_EDGE, MAX_TAKES, parse_ratio, parse_size, parse_word


def _exactly(parse: Callable[[str], object]) -> AfterValidator:
    """A text that `parse` takes, kept as it is written."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _shape(value: object) -> str:
    # No key is written like that: an error's location names these, too.
    if isinstance(value, str):
        return "<any>"
    return "<by resolution>" if isinstance(value, dict) else "<list>"


def _text_schema(**rules: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **rules})


Pixels = Annotated[str, _exactly(parse_size), _text_schema(pattern="^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")]
RatioName = Annotated[
    str, _exactly(parse_ratio), _text_schema(pattern="^([1-9][0-9]{0,4}:[1-9][0-9]{0,4}|auto)$")
]
Word = Annotated[str, _exactly(parse_word), _text_schema(minLength=1)]
Tier = Literal["0.5k", "1k", "2k", "4k", "8k"]

_Any = Annotated[Literal["any"], Tag("<any>")]
_List = Tag("<list>")
_Free = BeforeValidator(without_extensions)
_ByResolution = Tag("<by resolution>")
_Some = Field(min_length=1)

Sizes = Annotated[
    _Any
    | Annotated[list[Pixels], _Some, _List]
    | Annotated[dict[Tier, Annotated[list[Pixels], _Some]], _Free, _ByResolution],
    Discriminator(_shape),
]
Ratios = Annotated[
    Annotated[list[RatioName], _Some, _List]
    | Annotated[dict[Tier, Annotated[list[RatioName], _Some]], _Free, _ByResolution],
    Discriminator(_shape),
]
Words = Annotated[_Any | Annotated[list[Word], _List], Discriminator(_shape)]


class Grid(Model):
    """Sizes that are not listed, but follow a rule. Bounds are inclusive."""

    step: int = Field(
        1, ge=1, le=1024, description="Both edges are multiples of this many pixels.", examples=[16]
    )
    min_pixels: int = Field(1, ge=1, description="The least area.", examples=[655_360])
    max_pixels: int = Field(MAX_EDGE**2, ge=1, description="The largest area.", examples=[8_294_400])
    max_edge: int = Field(MAX_EDGE, ge=1, le=MAX_EDGE, description="The longest edge.", examples=[3840])
    max_aspect: float = Field(
        float(MAX_EDGE), ge=1, description="The long edge over the short one.", examples=[3]
    )


class References(Model):
    """How reference images are taken."""

    max: int = Field(ge=0, le=1000, description="How many at most.", examples=[4])
    files: bool = Field(
        True,
        description="Whether local files can be sent; false where only URLs are taken.",
        examples=[False],
    )


class CapabilityFields(Model):
    """What can be asked for. What is left out cannot be asked for, unless said otherwise."""

    sizes: Sizes | None = Field(
        None, description="Sizes in pixels, also by resolution, which is then their price tier; or any.",
        examples=[["1024x1024", "1536x1024"], {"1k": ["1024x1024"], "2k": ["2048x2048"]}, "any"],
    )  # fmt: skip
    grid: Grid | None = Field(
        None,
        description="A rule for sizes that are not listed.",
        examples=[{"step": 16, "max_edge": 3840, "max_aspect": 3}],
    )
    default_size: Pixels | None = Field(
        None, description="Asked for where an image names no shape and the service needs one.",
        examples=["1024x1024"],
    )  # fmt: skip
    ratios: Ratios | None = Field(
        None, description="Ratios, also by resolution where not every one has all.",
        examples=[["1:1", "16:9"], {"1k": ["1:1", "16:9"], "4k": ["16:9"]}],
    )  # fmt: skip
    resolutions: list[Tier] | None = Field(
        None, min_length=1, description="Resolutions that every ratio has.", examples=[["1k", "2k", "4k"]]
    )
    default_ratio: RatioName | None = Field(
        None, description="What the service makes of a request without a ratio.", examples=["1:1"]
    )
    default_resolution: Tier | None = Field(
        None, description="What the service gives without a resolution, where that is not its lowest.",
        examples=["1k"],
    )  # fmt: skip
    pixels: dict[RatioName, Pixels] | None = Field(
        None, description="About what a ratio gives at 1k; left out, it is worked out from the resolution.",
        examples=[{"16:9": "1344x768"}],
    )  # fmt: skip
    resolution_in_model: Tier | None = Field(
        None, description="The resolution that the model's name stands for; none is sent.", examples=["2k"]
    )
    qualities: Words | None = Field(
        None, description="The words for quality, or any; [] for none.", examples=[["low", "medium", "high"]]
    )
    default_quality: Word | None = Field(
        None, description="What the service uses without one, for estimates.", examples=["medium"]
    )
    formats: Words | None = Field(
        None, description="Encodings that can be asked for, or any; [] for none.", examples=[["png", "webp"]]
    )
    backgrounds: Words | None = Field(
        None,
        description="The words for the background, or any; [] for none.",
        examples=[["transparent", "opaque"]],
    )
    max_n: int | None = Field(
        None,
        ge=1,
        le=MAX_TAKES,
        description="Pictures that one request can give; 1 if left out.",
        examples=[4],
    )
    references: References | None = Field(
        None, description="How reference images are taken.", examples=[{"max": 4, "files": False}]
    )
    seed: bool | None = Field(None, description="Whether it takes a seed.", examples=[True])
    negative_prompt: bool | None = Field(
        None, description="Whether it takes a negative prompt.", examples=[True]
    )
    mask: bool | None = Field(None, description="Whether it takes a mask.", examples=[True])
    params: list[Word] | None = Field(
        None, description="The names that an image's params can have; any if left out.", examples=[["steps"]]
    )


class CapabilitiesConfig(CapabilityFields):
    """What can be asked for: of every model, and of some by name."""

    models: Annotated[dict[Word, CapabilityFields], _Free] | None = Field(
        None, min_length=1, description="All the models there are, with what differs from the rest.",
        examples=[{"model-1": {}, "model-1-pro": {"resolutions": ["1k", "2k", "4k"]}}],
    )  # fmt: skip
