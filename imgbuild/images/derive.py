"""Derived files: a master and a recipe in, exactly the declared picture out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import StorageError
from imgbuild.core.image import Size
from imgbuild.images.caption import draw_caption
from imgbuild.images.decode import decoding, load, opened
from imgbuild.images.encode import check_encodable, encode, encoder, has_alpha
from imgbuild.images.fit import frame, jpeg_shrink, place, scale, to_srgb

_WHITE = [255, 255, 255]


@dataclass(frozen=True, slots=True)
class Derived:
    """The file that was made. Width and height are pixels, `bytes` is its length."""

    width: int
    height: int
    format: str
    bytes: int


def derive(source: Path, recipe: Recipe, to: Path) -> Derived:
    """Make the file that `recipe` describes from the master at `source`, and write it to `to`.

    The same source, recipe and `encoder(recipe.format)` give the same bytes. `to` is a temporary name of the
    caller's, who syncs and renames it. Raises BadImageError where the source or the recipe cannot be used,
    and StorageError where a file cannot be read or written.
    """
    with opened(source) as (facts, file):
        size = Size(facts.width, facts.height)
        target = recipe.size or size
        check_encodable(recipe.format, recipe.options, target.width, target.height)
        placement = place(size, target, recipe.fit)
        with decoding(source):
            image = to_srgb(load(file, facts, shrink=jpeg_shrink(size, placement.scaled)))
            image = scale(image, placement.scaled)
            if not has_alpha(recipe.format):
                image = image.flatten(background=_WHITE) if image.hasalpha() else image
            elif placement.scaled.width < target.width or placement.scaled.height < target.height:
                image = image if image.hasalpha() else image.addalpha()
            image = frame(image, placement, target)
            if recipe.caption is not None:
                image = draw_caption(image, recipe.caption)
        data = encode(image, recipe.format, recipe.options, recipe.metadata)
    try:
        to.write_bytes(data)
    except OSError as error:
        raise StorageError(
            f"{to}: cannot be written: {error.strerror}", remedy="Free some space, or check the permissions."
        ) from error
    return Derived(target.width, target.height, recipe.format, len(data))


__all__ = ["Derived", "derive", "encoder"]
