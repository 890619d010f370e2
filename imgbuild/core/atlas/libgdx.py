"""libGDX's `.atlas`, in the form with `bounds` and `offsets` that it reads since 1.9.13.

As read by `com.badlogic.gdx.graphics.g2d.TextureAtlas`: sizes are upright, offsets count from the bottom
left, `rotate` is counter-clockwise, pages are set apart by an empty line, and a line with a colon is a field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgbuild.core.addresses import relative
from imgbuild.core.atlas.frame import AtlasOptions, Frame, Layout, page_path
from imgbuild.core.errors import UsageError


def write_libgdx(layout: Layout, options: AtlasOptions) -> Mapping[str, str]:
    """One file for all pages. Frames of an animation bear its name and their `index`.

    Raises:
        UsageError: a name with a colon, which the format takes for a field.
    """
    lines: list[str] = []
    for page, size in enumerate(layout.pages):
        lines += [
            *([""] if page else []),
            relative(page_path(options.output, page), options.data),
            f"size: {size.width}, {size.height}",
            "format: RGBA8888",
            "filter: Linear, Linear",
            "repeat: none",
        ]
        for frame in layout.on_page(page):
            lines += _region(frame, options)
    return {options.data: "\n".join(lines) + "\n"}


def _region(frame: Frame, options: AtlasOptions) -> Iterator[str]:
    name = frame.animation or frame.name
    if ":" in name:
        raise UsageError(
            f'the atlas "{options.name}" cannot name "{frame.name}": to libGDX a colon means a field',
            remedy="rename the image, leave it out, or use another atlas format",
        )
    size, source = frame.upright, frame.source
    yield name
    if frame.number is not None:
        yield f"  index: {frame.number}"
    yield f"  bounds: {frame.x}, {frame.y}, {size.width}, {size.height}"
    if frame.trimmed:
        below = source.height - frame.top - size.height
        yield f"  offsets: {frame.left}, {below}, {source.width}, {source.height}"
    if frame.turn:
        yield f"  rotate: {360 - frame.turn}"
    if frame.nine_slice is not None:
        left, top, right, bottom = frame.nine_slice
        yield f"  split: {left}, {right}, {top}, {bottom}"
