"""A contact sheet of pairs, before and after, as one picture with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.images.lettering import CAP_HEIGHT, EM, clean, draw, fit, width
from imgbuild.images.thumbnail import small_image
from imgbuild.images.vips import pyvips

MOST = 400
"""Pairs on one sheet."""
_BOX = (300, 226)
_GAP, _MARGIN, _LABEL = 12, 32, 34
_TINY = 96
"""Pixels a side up to which a picture is enlarged."""
_PAPER, _WELL, _INK, _QUIET = "#f6f5f2", "#e6e4dd", "#1d1c1a", "#63605a"
_WELL_RGB = [0xE6, 0xE4, 0xDD]


@dataclass(frozen=True, slots=True)
class Pair:
    """One image: its label, and the files of either side; None where there is none."""

    label: str
    change: str
    """added, removed or changed."""
    before: Path | None
    after: Path | None


def draw_sheet(pairs: Sequence[Pair], format: Literal["png", "webp"]) -> bytes:
    """The sheet's bytes. A file that cannot be read is shown as missing.

    Raises:
        BadImageError: there are no pairs, or more than `MOST`.
    """
    if not 1 <= len(pairs) <= MOST:
        raise BadImageError(
            f"a contact sheet has from 1 to {MOST} images, and these are {len(pairs)}",
            remedy="a page has room for any number: --out review.html",
        )
    columns = 1 if len(pairs) < 4 else 2 if len(pairs) < 16 else 3 if len(pairs) < 60 else 5
    cell = (2 * _BOX[0] + _GAP, _LABEL + _BOX[1])
    rows = ceil(len(pairs) / columns)
    across = 2 * _MARGIN + columns * cell[0] + (columns - 1) * _MARGIN
    down = 2 * _MARGIN + rows * cell[1] + (rows - 1) * _MARGIN
    parts = [f'<rect width="{across}" height="{down}" fill="{_PAPER}"/>']
    pictures: list[tuple[pyvips.Image, int, int]] = []
    for number, pair in enumerate(pairs):
        left = _MARGIN + number % columns * (cell[0] + _MARGIN)
        top = _MARGIN + number // columns * (cell[1] + _MARGIN)
        parts.append(_text(pair.label, left, top + 20, 15, cell[0] - 90, _INK, bold=True))
        parts.append(_text(pair.change, left + cell[0], top + 20, 13, 80, _QUIET, end=True))
        for side, file in enumerate((pair.before, pair.after)):
            x, y = left + side * (_BOX[0] + _GAP), top + _LABEL
            parts.append(
                f'<rect x="{x}" y="{y}" width="{_BOX[0]}" height="{_BOX[1]}" rx="4" fill="{_WELL}"/>'
            )
            picture = _picture(file)
            if picture is None:
                parts.append(_middle(_absent(pair, side), x, y))
            else:
                at = (x + (_BOX[0] - picture.width) // 2, y + (_BOX[1] - picture.height) // 2)
                pictures.append((picture, *at))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}">{"".join(parts)}</svg>'
    sheet = pyvips.Image.svgload_buffer(svg.encode(), unlimited=True).flatten().copy_memory()
    for picture, x, y in pictures:
        sheet = sheet.insert(picture, x, y).copy_memory()
    if format == "webp":
        return bytes(sheet.webpsave_buffer(Q=88, effort=3, keep="none"))
    return bytes(sheet.pngsave_buffer(compression=6, keep="none"))


def _picture(file: Path | None) -> pyvips.Image | None:
    if file is None:
        return None
    try:
        image = small_image(file, *_BOX)
    except (BadImageError, StorageError):
        return None
    image = image.flatten(background=_WELL_RGB) if image.hasalpha() else image
    if max(image.width, image.height) > _TINY:
        return image
    # Pixel art and icons, in whole pixels.
    by = min(_BOX[0] // image.width, _BOX[1] // image.height)
    return image.zoom(by, by)


def _absent(pair: Pair, side: int) -> str:
    if (pair.change, side) in (("added", 0), ("removed", 1)):
        return "not there yet" if side == 0 else "removed"
    return "bytes not found"


def _middle(words: str, x: int, y: int) -> str:
    setting = fit(words, _BOX[0] - 40, 30, largest=14, smallest=14, leading=1.3)
    return draw(setting.lines[0], x + _BOX[0] / 2, y + (_BOX[1] + 14 * CAP_HEIGHT) / 2, 14, _QUIET)


def _text(
    words: str,
    x: float,
    y: float,
    size: float,
    room: float,
    fill: str,
    *,
    bold: bool = False,
    end: bool = False,
) -> str:
    """One line that begins, or ends, at `x`."""
    setting = fit(clean(words), room, size, largest=size, smallest=size, leading=1.3, bold=bold)
    if not setting.lines:
        return ""
    line = setting.lines[0]
    half = width(line) * size / EM / 2
    return draw(line, x - half if end else x + half, y, size, fill, bold=bold)
