"""What the manifest asks for after expansion: one frozen `Image` per picture, templates rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from imgbuild.core.errors import Place

FILE_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".avif": "avif"}
"""Extensions of outputs, and the formats that they stand for."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Fit = Literal["cover", "contain", "fill", "exact"]


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """The area."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True, order=True)
class FileReference:
    """A file below the manifest's folder, as a POSIX path relative to it."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True, order=True)
class UrlReference:
    """An http(s) URL, fetched once and pinned by digest."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True, order=True)
class ImageReference:
    """Another image of the manifest: the master of its picked take, before any derivation."""

    id: str

    def __str__(self) -> str:
        return f"@{self.id}"


Reference = FileReference | UrlReference | ImageReference


class Origin(Protocol):
    """Where an image's fields were written."""

    def place(self, field: str) -> Place:
        """The place of a field's value; of the image's own entry when the field is not set anywhere."""
        ...


@dataclass(frozen=True, slots=True)
class Image:
    """One picture to have. Every template is rendered, every path is relative to the manifest's folder.

    Fields that were not set anywhere are None: they stay out of the key, and nothing is sent for them.
    """

    id: str
    name: str
    """The manifest entry's name (with its namespace): what a bare TARGET means."""
    prompt: str
    provider: str
    """The name under `providers`, or "placeholder"."""
    output: str
    """POSIX path relative to the manifest's folder, normalised, inside the project."""
    negative_prompt: str | None = None
    model: str | None = None
    size: Size | None = None
    ratio: str | None = None
    """Lowest-term-free text as written, e.g. "16:9", or "auto"."""
    resolution: str | None = None
    """Lower case: 0.5k, 1k, 2k, 4k or 8k."""
    quality: str | None = None
    background: str | None = None
    format: str | None = None
    """What the service is asked to encode: png, jpeg, webp, ... The output's extension decides the file."""
    fit: Fit = "cover"
    upscale: bool = False
    seed: int | None = None
    takes: int = 1
    references: tuple[Reference, ...] = ()
    mask: FileReference | ImageReference | UrlReference | None = None
    params: Mapping[str, Json] = field(default_factory=dict)
    alpha: str | None = None
    alt: str | None = None
    tags: tuple[str, ...] = ()
    derive: tuple[Mapping[str, Json], ...] = ()
    """Derivation entries as written, templates not yet rendered: they see {{ width }} and {{ format }}."""
    embed_prompt: bool = False
    origin: Origin = field(compare=False, repr=False, kw_only=True)


def output_format(path: str) -> str | None:
    """The file format that an output's extension stands for; None if it stands for none."""
    dot = path.rfind(".")
    return FILE_FORMATS.get(path[dot:].lower()) if dot >= 0 else None
