"""Everything that a model's capabilities list, as fields of images: one image for each listed thing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities

Fields = dict[str, Any]


def shapes(capabilities: Capabilities) -> Iterator[tuple[Fields, Size | None]]:
    """Each shape that can be asked for, with the pixels that it is known to give."""
    for option in capabilities.sizes:
        yield {"size": str(option.size), "fit": "exact"}, option.size
    for ratio in capabilities.ratios:
        fields: Fields = {"ratio": ratio.ratio}
        if ratio.resolution is not None and not capabilities.resolutions_in_model:
            fields["resolution"] = ratio.resolution
        yield fields, ratio.size
    if capabilities.auto_size:
        yield {"ratio": "auto"}, None
    grid = capabilities.grid
    if grid is not None:
        for size in corners(capabilities):
            yield {"size": str(size), "fit": "exact"}, size


def corners(capabilities: Capabilities) -> Iterator[Size]:
    """Sizes at the very limits of a grid: the smallest, the largest, the longest, the widest."""
    grid = capabilities.grid
    assert grid is not None
    step = grid.step
    for width in range(step, grid.max_edge + 1, step):
        lowest = -(-max(grid.min_pixels / width, width / grid.max_aspect) // step) * step
        highest = min(grid.max_pixels / width, width * grid.max_aspect, grid.max_edge) // step * step
        if lowest <= highest and width % (step * 32) in (0, step):
            yield Size(width, int(lowest))
            yield Size(width, int(highest))


def words(capabilities: Capabilities) -> Iterator[Fields]:
    """Each quality, background and format, and each field that is simply there or not."""
    yield {}
    for quality in capabilities.qualities or ():
        yield {"quality": quality}
    for background in capabilities.backgrounds or ():
        yield {"background": background}
    for format in capabilities.formats or ():
        yield {"format": format}
    if capabilities.seed:
        yield {"seed": 42}
    if capabilities.negative_prompt:
        yield {"negative_prompt": "text, watermark"}
    if capabilities.max_n > 1:
        yield {"takes": capabilities.max_n}
