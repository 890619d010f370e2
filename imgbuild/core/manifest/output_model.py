"""The models of what is made from pictures: derived files, atlases and the assets table."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from imgbuild.core.manifest.base_model import Model
from imgbuild.core.manifest.fields import ApiKey, FitText, FocusText, LineText, SizeText, shown


def shape_of(value: object) -> str:
    """Which member of a union a value is meant for: the errors of the others would only confuse."""
    return "mapping" if isinstance(value, dict) else "text" if isinstance(value, str) else "list"


_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
MAX_COLOURS = 256
_MAX_BORDER = 65_535


def _palette(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 2 <= value <= MAX_COLOURS:
            raise ValueError(f"must be from 2 to {MAX_COLOURS} colours, not {value}")
    elif isinstance(value, list):
        if not 2 <= len(value) <= MAX_COLOURS:
            raise ValueError(f"must be from 2 to {MAX_COLOURS} colours, not {len(value)}")
        for colour in value:
            if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
                raise ValueError(f'"{shown(str(colour))}" is no colour; write it as "#rrggbb"')
    elif not isinstance(value, str) or not value.strip():
        raise ValueError("must be a number of colours, a list of them, or a file that lists them")
    return value


def _nine_slice(value: object) -> object:
    numbers = value if isinstance(value, list) else [value]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= _MAX_BORDER for n in numbers)
    if not whole or (isinstance(value, list) and len(value) != 4):
        raise ValueError("must be one border in pixels, or four: left, top, right, bottom")
    return value


_BORDER = {"type": "integer", "minimum": 0, "maximum": _MAX_BORDER}
Palette = Annotated[
    Any,
    BeforeValidator(_palette),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 2, "maximum": MAX_COLOURS},
                {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": MAX_COLOURS,
                    "items": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
                },
                {"type": "string", "minLength": 1},
            ]
        }
    ),
]
NineSlice = Annotated[
    Any,
    BeforeValidator(_nine_slice),
    WithJsonSchema({"anyOf": [_BORDER, {"type": "array", "minItems": 4, "maxItems": 4, "items": _BORDER}]}),
]
FormatName = Literal["avif", "webp", "jpeg", "png"]
Kernel = Literal["nearest", "linear", "cubic", "mitchell", "lanczos2", "lanczos3"]


class Encoding(Model):
    """Options of one format's encoder."""

    quality: int | None = Field(None, ge=1, le=100, description="The encoder's quality.", examples=[80])
    lossless: bool | None = Field(None, description="Encode without loss.", examples=[True])
    effort: int | None = Field(None, ge=0, le=9, description="More is slower and smaller.", examples=[6])
    progressive: bool | None = Field(None, description="A JPEG that sharpens as it loads.", examples=[False])


Formats = Annotated[
    Annotated[list[FormatName], Field(min_length=1), Tag("list")]
    | Annotated[dict[FormatName, Encoding | None], Field(min_length=1), Tag("mapping")],
    Discriminator(shape_of),
]


class Derive(Encoding):
    """Files made from the picture, always free."""

    output: LineText = Field(
        description="The files' path; sees {{ width }}, {{ height }}, {{ format }} and {{ digest }}.",
        examples=["static/img/hero-{{ width }}.{{ format }}"],
    )
    widths: list[Annotated[int, Field(ge=1, le=65_535)]] | None = Field(
        None, min_length=1, description="One file for each width in pixels.", examples=[[480, 960, 1440]]
    )
    formats: Formats | None = Field(
        None, description="One file for each format; a mapping gives each its own options.",
        examples=[["avif", "webp"], {"avif": {"quality": 55}, "webp": {"quality": 80}}],
    )  # fmt: skip
    size: SizeText | None = Field(None, description="The exact size.", examples=["600x315"])
    fit: FitText | None = Field(None, description="How the picture fills the size.", examples=["contain"])
    focus: FocusText | None = Field(
        None, description="What is kept where the picture is cut: attention, entropy, centre, or x,y.",
        examples=["attention", "0.5,0.3"],
    )  # fmt: skip
    grid: int | None = Field(
        None, ge=2, le=1024, description="Pixel art: squares of so many pixels get one colour each.",
        examples=[16],
    )  # fmt: skip
    trim: bool | None = Field(None, description="Cut the empty border off.", examples=[True])
    pad: int | None = Field(None, ge=0, le=_MAX_BORDER, description="Border to add, in pixels.", examples=[2])
    pow2: bool | None = Field(None, description="Grow both sides to powers of two.", examples=[True])
    scale: float | None = Field(None, gt=0, le=100, description="Factor on both sides.", examples=[0.25])
    kernel: Kernel | None = Field(None, description="How pixels are sampled.", examples=["nearest"])
    palette: Palette | None = Field(
        None, description="Number of colours at most, the colours, or a file of them (.hex, .gpl, .pal).",
        examples=[32, ["#1a1c2c", "#f4f4f4"], "art/sweetie16.hex"],
    )  # fmt: skip
    nine_slice: NineSlice | None = Field(
        None, description="Borders that a user interface does not stretch: left, top, right, bottom.",
        examples=[12, [12, 8, 12, 8]],
    )  # fmt: skip
    seamless: bool | None = Field(
        None, description="Check that opposite edges meet, so that it tiles.", examples=[True]
    )
    metadata: Literal["provenance", "keep", "strip"] | None = Field(
        None, description="What the file tells of itself: provenance, all that the master tells, nothing.",
        examples=["strip"],
    )  # fmt: skip
    sizes: LineText | None = Field(
        None, description="How wide a page shows it, as in HTML's `sizes`; stands in the assets table.",
        examples=["(min-width: 60rem) 60rem, 100vw"],
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_size(self) -> Derive:
        given = [name for name in ("size", "widths", "scale") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} both say how large it is: remove one")
        return self


class C2pa(Model):
    """Content credentials (C2PA): signed statements in the files that a model made them."""

    certificate: str = Field(
        min_length=1,
        description="The signer's certificate and those that vouch for it: a PEM file of the project.",
        examples=["certs/signing.pem"],
    )
    key: ApiKey = Field(
        description="The variable that holds the private key: PEM text, or a PEM file outside the project.",
        examples=["${IMGBUILD_C2PA_KEY}"],
    )
    issue: int = Field(
        1, ge=1, le=65_535, description="Raise it to have all files signed anew.", examples=[2]
    )


class Assets(Model):
    """What a page needs to know of each image, in one file."""

    output: LineText = Field(
        description="The table: .json, .ts or .d.ts.", examples=["src/_data/images.json"]
    )
    root: str = Field(
        "", description="The folder that is served: addresses are relative to it.", examples=["static"]
    )
    url: str = Field("", description="What stands before each address.", examples=["/"])


TableOrPath = Annotated[
    Annotated[LineText, Tag("text")] | Annotated[Assets, Tag("mapping")], Discriminator(shape_of)
]


class Atlas(Model):
    """Images packed into one picture and a table of their places."""

    images: str | list[str] = Field(description="Ids, or globs over ids.", examples=["sprite*"])
    output: str = Field(
        min_length=1, description="The picture: .png or .webp.", examples=["assets/icons.png"]
    )
    data: str = Field(min_length=1, description="The table.", examples=["assets/icons.json"])
    format: Literal["texturepacker-hash", "texturepacker-array", "libgdx", "godot", "godot3", "css"] = Field(
        "texturepacker-hash", description="How the table is written.", examples=["texturepacker-hash"]
    )
    padding: int = Field(0, ge=0, le=1024, description="Pixels between frames.", examples=[2])
    extrude: int = Field(0, ge=0, le=64, description="Repeated border pixels of each frame.", examples=[1])
    pow2: bool = Field(False, description="Grow both sides to powers of two.", examples=[True])
    trim: bool = Field(False, description="Cut the empty border of each frame off.", examples=[True])
    rotate: bool = Field(False, description="Turn frames where that saves room.", examples=[True])
    max_size: int = Field(4096, ge=16, le=16_384, description="Longest side in pixels.", examples=[2048])
    animation: str = Field(
        "frame", min_length=1, description="The matrix axis that numbers an animation's frames.",
        examples=["frame"],
    )  # fmt: skip
    root: str = Field(
        "", description="Godot: the project's folder, which res:// stands for.", examples=["game"]
    )
