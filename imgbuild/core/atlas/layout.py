"""From sprites to a layout: every picture gets its place, its name and its number in an animation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from imgbuild.core.atlas.frame import AtlasOptions, Frame, Layout, Sprite
from imgbuild.core.errors import UsageError
from imgbuild.core.packing import Slot, pack

TURNS: Mapping[str, int] = {"texturepacker-hash": 90, "texturepacker-array": 90, "libgdx": 270}
"""Degrees clockwise by which a format means that a turned frame lies; the others know only upright ones."""

_MEMBERS = re.compile(r"(.*)\[(.+)\]\Z", re.DOTALL)
_NUMBER = r"(?:^|,){axis}=([0-9]{{1,9}})(?=,|$)"


def lay_out(sprites: Mapping[str, Sprite], options: AtlasOptions) -> Layout:
    """Where every sprite lies. The names become the frames'; the order of the mapping does not matter.

    A sprite with a nine-slice keeps its empty border, which its borders count from, and is never turned.

    Raises:
        UsageError: a sprite that no page can hold, no sprite at all, or turning in a format without it.
    """
    if not sprites:
        raise UsageError(
            f'the atlas "{options.name}" has no image', remedy="name ids, or globs over ids, under images"
        )
    if options.rotate and options.format not in TURNS:
        raise UsageError(
            f'the atlas "{options.name}" may turn frames, which {options.format} cannot say',
            remedy="remove rotate, or use texturepacker-hash, texturepacker-array or libgdx",
        )
    placed = {name: _whole(sprite) if sprite.nine_slice else sprite for name, sprite in sprites.items()}
    pages = pack(
        {name: sprite.kept for name, sprite in placed.items()},
        max_size=options.max_size,
        padding=options.padding,
        extrude=options.extrude,
        rotate=options.rotate,
        pow2=options.pow2,
        upright=[name for name, sprite in placed.items() if sprite.nine_slice],
    )
    frames = [
        _frame(slot, page, placed[slot.name], options)
        for page, contents in enumerate(pages)
        for slot in contents.slots
    ]
    _check_names(frames, options)
    ordered = sorted(frames, key=lambda f: (f.animation or f.name, f.number or 0, f.name))
    return Layout(tuple(page.size for page in pages), tuple(ordered), options.extrude)


def animation_of(id: str, axis: str) -> tuple[str, int] | None:
    """The animation that an image belongs to and its number there, or None.

    `walk[dir=left,frame=3]` is number 3 of `walk[dir=left]`, and `walk[frame=3]` of `walk`.
    """
    parts = _MEMBERS.match(id)
    if parts is None:
        return None
    name, members = parts.groups()
    found = re.search(_NUMBER.format(axis=re.escape(axis)), members)
    if found is None:
        return None
    others = (members[: found.start()] + members[found.end() :]).removeprefix(",")
    return (f"{name}[{others}]" if others else name), int(found[1])


def _whole(sprite: Sprite) -> Sprite:
    return replace(sprite, kept=sprite.source, left=0, top=0)


def _frame(slot: Slot, page: int, sprite: Sprite, options: AtlasOptions) -> Frame:
    animation, number = animation_of(slot.name, options.animation) or (None, None)
    return Frame(
        name=slot.name,
        page=page,
        x=slot.x,
        y=slot.y,
        width=slot.width,
        height=slot.height,
        turn=TURNS[options.format] if slot.turned else 0,
        source=sprite.source,
        left=sprite.left,
        top=sprite.top,
        animation=animation,
        number=number,
        nine_slice=sprite.nine_slice,
    )


def _check_names(frames: list[Frame], options: AtlasOptions) -> None:
    """An engine finds an animation by its name, as it finds a frame: one must not hide the other."""
    singles = {frame.name for frame in frames if frame.animation is None}
    for frame in frames:
        if frame.animation in singles:
            raise UsageError(
                f'in the atlas "{options.name}", "{frame.animation}" would name both an image and the '
                f'animation of "{frame.name}"',
                remedy="rename one of the images, or say under animation which axis numbers the frames",
            )
