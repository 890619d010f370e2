"""Derived files: a master and recipes in, exactly the declared pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import StorageError
from imgbuild.images.caption import draw_caption
from imgbuild.images.decode import load, opened
from imgbuild.images.encode import check_options, check_size, encode, encoder, has_alpha
from imgbuild.images.operations import perform
from imgbuild.images.said import read_said, say
from imgbuild.images.vips import pyvips

_WHITE = [255, 255, 255]


@dataclass(frozen=True, slots=True)
class Derived:
    """The file that was made. Width and height are pixels, `bytes` is its length."""

    width: int
    height: int
    format: str
    bytes: int


def derive(source: Path, recipes: Sequence[Recipe], to: Sequence[Path]) -> list[Derived]:
    """Make the files that the recipes describe from the master at `source`, each at its place in `to`.

    The recipes of one call share source and operations: pixels are decoded and worked on once, and encoded
    for each recipe. The same source, recipe and `encoder(recipe.format)` give the same bytes, alone or in a
    group. The places are temporary names of the caller's, who syncs and renames them; none is written before
    all are encoded. Raises BadImageError where the source or a recipe cannot be used, and StorageError where
    a file cannot be read or written.
    """
    if len({(recipe.source, recipe.operations) for recipe in recipes}) != 1 or len(recipes) != len(to):
        raise ValueError("recipes of one call share source and operations, and each has a place")
    for recipe in recipes:
        check_options(recipe.format, recipe.options)
    operations = recipes[0].operations
    with opened(source) as (facts, file):
        master = (
            read_said(load(file, facts)) if any(one.metadata in ("keep", "own") for one in recipes) else {}
        )
        image = perform(file, facts, operations)
        for recipe in recipes:
            check_size(image.width, image.height, recipe.format)
        if len(recipes) > 1:
            image = image.copy_memory()
        files = [_encoded(image, recipe, master) for recipe in recipes]
    for path, data in zip(to, files, strict=True):
        try:
            path.write_bytes(data)
        except OSError as error:
            raise StorageError(
                f"{path}: cannot be written: {error.strerror}",
                remedy="Free some space, or check the permissions.",
            ) from error
    return [
        Derived(image.width, image.height, recipe.format, len(data))
        for recipe, data in zip(recipes, files, strict=True)
    ]


def _encoded(image: pyvips.Image, recipe: Recipe, master: dict[str, object]) -> bytes:
    if image.hasalpha() and not has_alpha(recipe.format):
        image = image.flatten(background=_WHITE)
    if recipe.operations.caption is not None:
        image = draw_caption(image, recipe.operations.caption)
    return encode(
        image,
        recipe.format,
        recipe.options,
        say(recipe.metadata, recipe.embedded, master),
        indexed=recipe.operations.palette is not None,
    )


__all__ = ["Derived", "derive", "encoder"]
