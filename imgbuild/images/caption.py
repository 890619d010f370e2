"""Where a placeholder's words go, and drawing its id over the finished pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from imgbuild.images.lettering import CAP_HEIGHT, clean, draw, fit, width
from imgbuild.images.vips import pyvips

LEADING = 1.28
SMALLEST = 9.0
"""Pixels to the em below which letters cannot be read."""
_PLATE = "#ffffff"
_INK = "#1b1f27"
_ALONE = 40
"""Pixels across below which only initials fit."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the picture, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """The middle."""
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a card's texts; None where the card is too small for one. `text` is pixels to the em."""

    text: float
    caption: Box
    prompt: Box | None
    footer: Box | None


def layout(across: int, down: int) -> Layout:
    """The places on a card of across x down pixels; the caption's is kept free for `draw_caption`."""
    text = min(math.sqrt(across * down) / 25, min(across, down) / 7)
    margin = min(max(2.0, text * 1.4), min(across, down) * 0.12)
    inner = across - 2 * margin
    if across < 96 or down < 72:
        return Layout(text, Box(margin, margin, inner, down - 2 * margin), None, None)
    label = max(SMALLEST, text * 0.66)
    footer = Box(margin, down - margin - label * 1.9, inner, label * 1.9)
    room = footer.top - margin
    if across < 140 or down < 120:
        return Layout(text, Box(margin, margin, inner, room), None, footer)
    column = min(inner * 0.92, max(text * 34, inner * 0.5))
    left = (across - column) / 2
    caption = min(room * 0.46, text * 6)
    gap = min(text * 0.7, room * 0.04)
    prompt = min(room - caption - gap, text * 7.5)
    top = margin + (room - caption - gap - prompt) / 2
    below = Box(left, top + caption + gap, column, prompt)
    return Layout(text, Box(left, top, column, caption), below, footer)


def draw_caption(image: pyvips.Image, caption: str) -> pyvips.Image:
    """Write the image's id into the place that a card leaves for it; 8-bit sRGB in, the same bands out.

    A picture too small for words gets the id's initials.
    """
    text = clean(caption)
    if not text:
        return image
    places = layout(image.width, image.height)
    if image.width < _ALONE or image.height < 16:
        body = _initials(text, image.width, image.height)
    else:
        body = _plate(text, places)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{image.width}" height="{image.height}">{body}</svg>'
    )
    overlay = pyvips.Image.svgload_buffer(svg.encode())
    drawn = image.composite2(overlay, "over").extract_band(0, n=image.bands).cast("uchar")
    # Blending rounds translucent colours; where nothing is written they must stay as they are.
    return (overlay[3] > 0).ifthenelse(drawn, image)


def _plate(text: str, places: Layout) -> str:
    box = places.caption
    largest = max(SMALLEST, places.text * 1.75)
    pad = min(largest * 0.55, box.width * 0.06)
    setting = fit(
        text,
        box.width - 2 * pad,
        box.height - 1.6 * pad,
        largest=largest,
        smallest=max(SMALLEST, places.text * 0.8),
        leading=LEADING,
        bold=True,
    )
    size = setting.size
    pad = size * 0.62
    across = max(width(line) for line in setting.lines) * size / 1000 + 2.2 * pad
    down = (CAP_HEIGHT + (len(setting.lines) - 1) * LEADING) * size + 2 * pad
    across, down = min(across, box.width), min(down, box.height)
    x, y = box.centre
    if places.prompt is not None:
        # On top of the prompt, however many lines the id takes.
        y = box.top + box.height - down / 2
    radius = min(down / 2, size * 0.5)
    parts = [
        f'<rect x="{x - across / 2:.2f}" y="{y - down / 2:.2f}" width="{across:.2f}" height="{down:.2f}" '
        f'rx="{radius:.2f}" fill="{_PLATE}" fill-opacity="0.94"/>'
    ]
    first = y + (CAP_HEIGHT - (len(setting.lines) - 1) * LEADING) * size / 2
    for number, line in enumerate(setting.lines):
        parts.append(draw(line, x, first + number * LEADING * size, size, _INK, bold=True))
    return "".join(parts)


def _initials(text: str, across: int, down: int) -> str:
    words = "".join(char if char.isalnum() else " " for char in text).split()
    letters = "".join(word[0] for word in words[:2]).upper() or text[:1]
    setting = fit(letters, across * 0.8, down, largest=down * 0.72, smallest=5.0, leading=LEADING, bold=True)
    if not setting.lines:
        return ""
    baseline = down / 2 + setting.size * CAP_HEIGHT / 2
    return draw(setting.lines[0], across / 2, baseline, setting.size, _INK, bold=True)
