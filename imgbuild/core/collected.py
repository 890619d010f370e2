"""Files that are made of several images: atlases and the assets table, as the manifest declares them."""

from __future__ import annotations

from dataclasses import dataclass

from imgbuild.core.assets import AssetsOptions
from imgbuild.core.atlas.frame import AtlasOptions
from imgbuild.core.errors import Place


@dataclass(frozen=True, slots=True)
class Atlas:
    """Images packed into one picture, or several where one would be too large, and a table of places."""

    options: AtlasOptions
    images: tuple[tuple[str, str], ...]
    """The frames: each an image's id, and which of its files it is, as declared."""
    place: Place

    @property
    def id(self) -> str:
        """What it is called among images."""
        return f"atlas:{self.options.name}"


@dataclass(frozen=True, slots=True)
class AssetsTable:
    """A file of what a page needs to know of each image."""

    options: AssetsOptions
    place: Place

    @property
    def id(self) -> str:
        """What it is called among images."""
        return "assets"
