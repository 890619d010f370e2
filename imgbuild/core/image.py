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
KERNELS = ("nearest", "linear", "cubic", "mitchell", "lanczos2", "lanczos3")
Metadata = Literal["provenance", "keep", "strip", "own"]
"""What a file says of itself: its provenance; and what the master's file said; nothing; only the latter."""
DIGEST_SIGNS = "".join(chr(0xE000 + index) for index in range(64))
"""What `{{ digest }}` is in a path until the bytes are known: a private character for each digit."""


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


@dataclass(frozen=True, slots=True)
class Operations:
    """What is done to a master's pixels, in the order of the members. What is not set does nothing.

    `size`, `width` and `scale` exclude each other.
    """

    alpha: str | None = None
    """A colour as #rrggbb, which becomes transparent. native: the master has to have transparency."""
    grid: int | None = None
    """Pixel art: squares of so many pixels a side become one colour each."""
    trim: bool = False
    """The empty border is cut off: what is transparent, or else of the corner's colour."""
    size: Size | None = None
    width: int | None = None
    """Pixels; the height follows."""
    scale: float | None = None
    fit: Fit = "cover"
    """How the picture fills `size`."""
    focus: str | None = None
    """What `cover` keeps: attention, entropy, or "x,y" as shares of the sides; None is the centre."""
    kernel: str | None = None
    """How pixels are sampled: one of `KERNELS`; None is lanczos3."""
    palette: int | tuple[str, ...] | None = None
    """The most colours, or the colours themselves as #rrggbb."""
    pad: int = 0
    """Pixels of empty border to add."""
    pow2: bool = False
    """Both sides grow to powers of two; the picture stays at the top left."""
    seamless: bool = False
    """The picture must tile: a check."""
    caption: str | None = None
    """Drawn by the placeholder's outputs only: the id is no part of a generation key, so two images that
    share a card still show their own names."""


NO_OPERATIONS = Operations()


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file to make from a master."""

    path: str
    """POSIX path relative to the manifest's folder, inside the project. `digest_path` fills in the file's own
    digest where it is part of the name."""
    operations: Operations = NO_OPERATIONS
    options: Mapping[str, Json] = field(default_factory=dict)
    """Encoder options."""
    metadata: Metadata = "provenance"
    nine_slice: tuple[int, int, int, int] | None = None
    """The unstretched borders for user interfaces: left, top, right, bottom, in pixels of this file."""
    sizes: str | None = None
    """How wide a page shows it, as HTML's `sizes`."""
    entry: int | None = None
    """The index of the entry under `derive` that declares it; None for the image's own `output`."""


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

    def entry_place(self, field: str, index: int) -> Place:
        """The place of one entry of a list, such as `derive[2]`."""
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
    """native, or key:#rrggbb."""
    focus: str | None = None
    """What `cover` keeps: attention, entropy, centre or "x,y" as shares of the sides."""
    nine_slice: tuple[int, int, int, int] | None = None
    """Borders of the output that a user interface does not stretch: left, top, right, bottom. Pixels."""
    alt: str | None = None
    tags: tuple[str, ...] = ()
    derive: tuple[OutputFile, ...] = ()
    """More files from the same master, in the manifest's order."""
    embed_prompt: bool = False
    origin: Origin = field(compare=False, repr=False, kw_only=True)


def output_format(path: str) -> str | None:
    """The file format that an output's extension stands for; None if it stands for none."""
    dot = path.rfind(".")
    return FILE_FORMATS.get(path[dot:].lower()) if dot >= 0 else None


def digest_path(path: str, digest: str) -> str:
    """An output's path with its file's digest filled in, where `{{ digest }}` is part of the name."""
    return path.translate({0xE000 + index: digit for index, digit in enumerate(digest)})


def names_digest(path: str) -> bool:
    """Whether the file's own digest is part of a path, so that it is not known before its bytes are."""
    return not path.isascii() and not set(path).isdisjoint(DIGEST_SIGNS)
