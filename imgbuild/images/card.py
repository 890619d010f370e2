"""The placeholder's picture: a calm card of the exact size with the prompt and the size on it."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

from imgbuild.core.errors import BadImageError, StorageError
from imgbuild.core.image import Size
from imgbuild.core.sniff import MAX_PIXELS, MAX_SIDE
from imgbuild.images.caption import LEADING, SMALLEST, Box, Layout, layout
from imgbuild.images.lettering import CAP_HEIGHT, EM, clean, clusters, draw, fit, width
from imgbuild.images.vips import explain, pyvips


def draw_card(size: Size, prompt: str, to: Path, *, detail: str = "") -> None:
    """Draw the card for `prompt`, exactly `size` pixels, as a PNG file at `to`.

    `detail` stands beside the size where there is room, e.g. the model that was asked for. The same arguments
    give the same bytes, as far as no character needs a system font. Raises BadImageError for an impossible
    size, and StorageError where the file cannot be written.
    """
    if not (1 <= size.width <= MAX_SIDE and 1 <= size.height <= MAX_SIDE and size.pixels <= MAX_PIXELS):
        raise BadImageError(
            f"a card of {size} pixels cannot be drawn", remedy=f"The limit is {MAX_SIDE} a side."
        )
    try:
        image = pyvips.Image.svgload_buffer(card_svg(size, prompt, detail).encode())
        data = image.flatten().pngsave_buffer(compression=6, filter="none", keep="none")
    except pyvips.Error as error:
        raise BadImageError(f"the card cannot be drawn: {explain(error)}") from error
    try:
        to.write_bytes(data)
    except OSError as error:
        raise StorageError(
            f"{to}: cannot be written: {error.strerror}", remedy="Free some space, or check the permissions."
        ) from error


def card_svg(size: Size, prompt: str, detail: str) -> str:
    """The drawing, as SVG."""
    digest = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
    hue = int.from_bytes(digest[:2], "big") / 65536 * 360
    places = layout(size.width, size.height)
    return "".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size.width}" height="{size.height}">',
            _background(size, hue, digest[2]),
            _guides(size, hue, places),
            _prompt(places, clean(prompt), _colour(0.36, 0.06, hue)),
            _footer(places, f"{size.width} × {size.height}", clean(detail), _colour(0.42, 0.07, hue)),
            "</svg>",
        )
    )


def _background(size: Size, hue: float, variant: int) -> str:
    """A soft gradient with two large discs, placed by the prompt so that neighbours differ."""
    across, down = size.width, size.height
    radius = max(across, down) * 0.42
    side = -1 if variant & 1 else 1
    shift = (variant >> 1) / 127 * 0.3 - 0.15
    x, y = across * (0.5 + side * 0.42), down * (0.2 + shift)
    return (
        '<defs><linearGradient id="b" x1="0" y1="0" x2="1" y2="1">'
        f'<stop offset="0" stop-color="{_colour(0.94, 0.035, hue)}"/>'
        f'<stop offset="1" stop-color="{_colour(0.86, 0.065, hue + 20)}"/></linearGradient></defs>'
        f'<rect width="{across}" height="{down}" fill="url(#b)"/>'
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{_colour(0.88, 0.06, hue - 25)}" '
        'fill-opacity="0.55"/>'
        f'<circle cx="{across - x:.2f}" cy="{down - y:.2f}" r="{radius * 0.8:.2f}" '
        f'fill="{_colour(0.91, 0.055, hue + 50)}" fill-opacity="0.6"/>'
    )


def _guides(size: Size, hue: float, places: Layout) -> str:
    """Diagonals and a frame: they show what a crop or a stretch does to the picture."""
    across, down = size.width, size.height
    if min(across, down) < 12:
        return ""
    line = max(1.0, places.text * 0.05)
    inset = line / 2 if places.footer is None else max(line * 1.5, places.text * 0.55)
    ink = _colour(0.45, 0.08, hue)
    frame = (
        f'<rect x="{inset:.2f}" y="{inset:.2f}" width="{across - 2 * inset:.2f}" '
        f'height="{down - 2 * inset:.2f}" fill="none" stroke="{ink}" stroke-opacity="0.3" '
        f'stroke-width="{line:.2f}" rx="{0 if places.footer is None else places.text * 0.4:.2f}"/>'
    )
    if places.footer is None:
        return frame
    diagonals = (
        f'<path d="M{inset:.2f} {inset:.2f}L{across - inset:.2f} {down - inset:.2f}'
        f'M{across - inset:.2f} {inset:.2f}L{inset:.2f} {down - inset:.2f}" '
        f'stroke="#fff" stroke-opacity="0.5" stroke-width="{line:.2f}"/>'
    )
    return diagonals + frame


def _prompt(places: Layout, text: str, ink: str) -> str:
    box = places.prompt
    if box is None or not text:
        return ""
    return _centred(box, text, ink, largest=max(SMALLEST + 1, places.text), shrink=0.8)


def _footer(places: Layout, size: str, detail: str, ink: str) -> str:
    box = places.footer
    if box is None:
        return ""
    em = max(SMALLEST, places.text * 0.66)
    both = f"{size}   ·   {detail}"
    words = both if detail and width(clusters(both)) * em / EM <= box.width else size
    return _centred(box, words, ink, largest=em, shrink=1.0)


def _centred(box: Box, text: str, ink: str, *, largest: float, shrink: float) -> str:
    """Text in the upper middle of a box: the first line keeps its place whatever follows."""
    smallest = max(SMALLEST, largest * shrink)
    # What stands above the first line's capitals and below the last line's baseline needs room, too.
    room = box.height - largest * 0.6
    setting = fit(text, box.width, room, largest=largest, smallest=smallest, leading=LEADING + 0.12)
    x, _ = box.centre
    step = setting.size * (LEADING + 0.12)
    first = box.top + setting.size * (CAP_HEIGHT + 0.35)
    return "".join(
        draw(line, x, first + number * step, setting.size, ink) for number, line in enumerate(setting.lines)
    )


def _colour(lightness: float, chroma: float, hue: float) -> str:
    """An OKLCH colour as #rrggbb: equal lightness looks equally light at every hue (Ottosson, 2020)."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{_gamma(value):02x}" for value in linear)


def _gamma(linear: float) -> int:
    value = min(1.0, max(0.0, linear))
    encoded = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * encoded)
