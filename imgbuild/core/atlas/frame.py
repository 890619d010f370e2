"""What an atlas is made of: sprites going in, frames on pages coming out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from imgbuild.core.image import Size

LAYOUT_VERSION = 1
"""Rises when the same layout is drawn in another way."""


@dataclass(frozen=True, slots=True)
class AtlasOptions:
    """An atlas as declared. Paths are relative to the manifest's folder."""

    name: str
    """Its name under `atlases`; in CSS the class that all frames share."""
    output: str
    """The first page's picture."""
    data: str
    """The table, or the first page's."""
    format: str = "texturepacker-hash"
    """One of `FORMATS` in `writers`."""
    padding: int = 0
    """Free pixels between two frames."""
    extrude: int = 0
    """How many times each frame's border pixels are repeated outwards."""
    pow2: bool = False
    """Pages have powers of two as sides."""
    trim: bool = False
    """The transparent border of each picture is left out."""
    rotate: bool = False
    """Frames may be turned by a quarter."""
    max_size: int = 4096
    """Pixels: a page's longest side."""
    animation: str = "frame"
    """The matrix axis whose whole numbers make frames of an animation."""
    root: str = ""
    """Godot: the folder that res:// stands for."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """A finished picture, and the part of it that is not empty. Pixels."""

    source: Size
    kept: Size
    left: int = 0
    """Where the kept part begins in the picture."""
    top: int = 0
    nine_slice: tuple[int, int, int, int] | None = None
    """Borders that are not stretched: left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A sprite in its place on a page. Pixels, from the top left."""

    name: str
    page: int
    """Counted from 0."""
    x: int
    y: int
    width: int
    """On the page: the sprite's height where it is turned."""
    height: int
    turn: int
    """Degrees clockwise by which it lies turned on the page: 0, 90 or 270."""
    source: Size
    """The whole picture."""
    left: int
    """Where the frame begins in the picture, upright."""
    top: int
    animation: str | None = None
    number: int | None = None
    """Its number in the animation."""
    nine_slice: tuple[int, int, int, int] | None = None
    """Borders that are not stretched: left, top, right, bottom, upright."""

    @property
    def upright(self) -> Size:
        """The frame's size as it is shown, not as it lies."""
        return Size(self.height, self.width) if self.turn else Size(self.width, self.height)

    @property
    def trimmed(self) -> bool:
        """Whether a part of the picture was left out."""
        return self.upright != self.source


@dataclass(frozen=True, slots=True)
class Layout:
    """An atlas laid out: its pages' sizes, and the frames in the order in which tables list them."""

    pages: tuple[Size, ...]
    frames: tuple[Frame, ...]
    extrude: int = 0
    prints: tuple[str, ...] = ()
    """Of each page, what its pixels are made of: `made_of` fills it in."""

    def made_of(self, digests: Mapping[str, str]) -> Layout:
        """The layout of sprites whose files have these digests, by name."""
        return replace(self, prints=tuple(self._print(page, digests) for page in range(len(self.pages))))

    def on_page(self, page: int) -> tuple[Frame, ...]:
        """The frames of one page, counted from 0."""
        return tuple(frame for frame in self.frames if frame.page == page)

    def animations(self) -> dict[str, tuple[Frame, ...]]:
        """Each animation's frames, by number; animations by name."""
        found: dict[str, list[Frame]] = {}
        for frame in self.frames:
            if frame.animation is not None:
                found.setdefault(frame.animation, []).append(frame)
        return {name: tuple(frames) for name, frames in found.items()}

    def _print(self, page: int, digests: Mapping[str, str]) -> str:
        """SHA-256 over all that decides a page's pixels.

        With the encoder's name and version it is the key of the page's bytes, as a derivation's recipe is.
        """
        members = [
            [digests[f.name], f.x, f.y, f.width, f.height, f.turn, f.left, f.top] for f in self.on_page(page)
        ]
        size = self.pages[page]
        text = json.dumps([size.width, size.height, self.extrude, sorted(members)], separators=(",", ":"))
        return hashlib.sha256(f"imgbuild/atlas/{LAYOUT_VERSION}\n{text}".encode()).hexdigest()


def page_path(path: str, page: int) -> str:
    """The file of a page, counted from 0: `icons.png`, `icons-2.png`, `icons-3.png`."""
    if page == 0:
        return path
    folder, slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    return f"{folder}{slash}{stem}-{page + 1}{dot}{extension}"
