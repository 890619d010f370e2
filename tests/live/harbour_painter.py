"""A program that paints harbours: what the recorded walk-through has in place of a service.

Run by imgbuild, as a provider of type `command`: a request on stdin, a PNG file on stdout. The words decide the
time of day and what is in the picture, the take decides where.
"""

from __future__ import annotations

import json
import random
import sys
import time
from itertools import pairwise

import pyvips

SKIES = {
    "dawn": ("#7fb2d0", "#f6c9b0", "#fff0d8", "#5f7f95", "#9dc3cf"),
    "dusk": ("#3b3a6b", "#c9647a", "#f8b878", "#33345c", "#7a5f8a"),
    "night": ("#131a3a", "#28356b", "#4a5a92", "#0e1430", "#27325e"),
    "noon": ("#5fa8d8", "#a8d8ea", "#e3f4f4", "#5d8a86", "#6fb6c4"),
}
"""Sky from above to the horizon, then the land and the water, by the words that name them."""
SAILS = ("#fdf6e6", "#f4d9b0", "#d96f5b", "#ece4f2")


def hill(chance: random.Random, width: int, base: float, height: float) -> str:
    """The outline of a range of hills, as the data of an SVG path."""
    steps = 7
    points = [(index * width / steps, base - height * chance.uniform(0.1, 1)) for index in range(steps + 1)]
    curve = "".join(f" S {(x + px) / 2:.0f} {y:.0f} {x:.0f} {y:.0f}" for (px, _), (x, y) in pairwise(points))
    return f"M 0 {base:.0f} L 0 {points[0][1]:.0f}{curve} L {width} {base:.0f} Z"


def boat(chance: random.Random, x: float, y: float, size: float) -> str:
    """A boat with two sails, whose waterline stands at a point."""
    sail = chance.choice(SAILS)
    side = chance.choice((-1, 1))
    return (
        f'<g transform="translate({x:.0f} {y:.0f}) scale({side * size:.3f} {size:.3f})">'
        f'<path d="M 2 -8 L 2 -92 L 52 -14 Z" fill="{sail}"/>'
        f'<path d="M -4 -8 L -4 -78 L -38 -14 Z" fill="{sail}" opacity=".82"/>'
        '<path d="M -52 -6 L 60 -6 L 40 12 L -36 12 Z" fill="#4a2f35"/>'
        f'<path d="M -36 16 L 40 16 L 8 74 Z" fill="{sail}" opacity=".2"/></g>'
    )


def lighthouse(x: float, y: float, size: float, side: int, lit: bool) -> str:
    """A lighthouse that stands at a point, and shines to one side."""
    ray = f"M 0 -176 L {side * 700} -262 L {side * 700} -104 Z"
    beam = f'<path d="{ray}" fill="url(#beam{side})"/>' if lit else ""
    stripes = "".join(
        f'<path d="M {-17 + top * 0.02:.1f} {-top} h {34 - top * 0.04:.1f} v 26 h -{34 - top * 0.04:.1f} z" fill="#d4574a"/>'
        for top in (46, 98, 150)
    )
    return (
        f'<g transform="translate({x:.0f} {y:.0f}) scale({size:.3f})">{beam}'
        f'<path d="M -20 0 L -13 -158 L 13 -158 L 20 0 Z" fill="#fbf7ef"/>{stripes}'
        '<rect x="-19" y="-164" width="38" height="7" fill="#333"/><rect x="-10" y="-184" width="20" height="20" fill="#ffe9a8"/>'
        '<path d="M -14 -184 L 0 -202 L 14 -184 Z" fill="#333"/></g>'
    )


def scene(prompt: str, take: int, width: int, height: int) -> str:
    """The whole picture as SVG."""
    chance = random.Random(f"{prompt} {take}")
    when = next((name for name in SKIES if name in prompt), "noon")
    high, middle, low, land, water = SKIES[when]
    horizon = height * chance.uniform(0.52, 0.64)
    sun_x, sun_r = width * chance.uniform(0.2, 0.8), height * chance.uniform(0.06, 0.1)
    sun_y = horizon - height * chance.uniform(0.06, 0.3)
    unit = height / 900
    glow = "#fdf3d0" if when == "night" else "#fff4dc"
    parts = [
        f'<rect width="{width}" height="{height}" fill="url(#sky)"/>',
        f'<circle cx="{sun_x:.0f}" cy="{sun_y:.0f}" r="{sun_r * 2.4:.0f}" fill="{glow}" opacity=".18"/>',
        f'<circle cx="{sun_x:.0f}" cy="{sun_y:.0f}" r="{sun_r:.0f}" fill="{glow}"/>',
        *(
            f'<path d="{outline}" fill="{low}"/><path d="{outline}" fill="{land}" opacity="{shade}"/>'
            for share, shade in ((0.2, 0.5), (0.11, 0.8))
            for outline in [hill(chance, width, horizon + 2, height * share)]
        ),
        f'<rect y="{horizon:.0f}" width="{width}" height="{height - horizon:.0f}" fill="url(#sea)"/>',
    ]
    for row in range(9):
        y = horizon + (height - horizon) * (0.05 + row * 0.105)
        half = sun_r * (0.9 - row * 0.05) * chance.uniform(0.6, 1.5)
        parts.append(
            f'<rect x="{sun_x - half:.0f}" y="{y:.0f}" width="{2 * half:.0f}" height="{5 * unit:.0f}" rx="{3 * unit:.0f}" fill="{glow}" opacity=".5"/>'
        )
    side = chance.choice((0.12, 0.88))
    ground, reach = horizon + 40 * unit, width * chance.uniform(0.2, 0.3)
    edge = 0 if side < 0.5 else width
    inward = reach if side < 0.5 else width - reach
    parts.append(
        f'<path d="M {edge} {ground - 70 * unit:.0f} Q {width * side:.0f} {ground - 90 * unit:.0f} {inward:.0f} {ground:.0f} L {edge} {ground + 34 * unit:.0f} Z" fill="{land}"/>'
    )
    if "lighthouse" in prompt or chance.random() < 0.8:
        parts.append(
            lighthouse(
                width * side,
                ground - 66 * unit,
                1.5 * unit,
                1 if side < 0.5 else -1,
                when in ("dusk", "night"),
            )
        )
    columns = chance.sample((0.3, 0.42, 0.55, 0.68, 0.78), chance.randint(2, 4))
    for index, column in enumerate(columns):
        far = (index + 1) / 5
        x, y = width * (column + chance.uniform(-0.03, 0.03)), horizon + (height - horizon) * far * 0.9
        parts.append(boat(chance, x, y, unit * (0.6 + far * 1.8)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        '<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{high}"/><stop offset=".42" stop-color="{middle}"/>'
        f'<stop offset=".66" stop-color="{low}"/></linearGradient>'
        '<linearGradient id="sea" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{middle}"/><stop offset=".3" stop-color="{water}"/><stop offset="1" stop-color="{land}"/>'
        "</linearGradient>"
        + "".join(
            f'<linearGradient id="beam{to}" x1="{start}" x2="{1 - start}"><stop offset="0" stop-color="#fff3c4" stop-opacity=".6"/>'
            '<stop offset="1" stop-color="#fff3c4" stop-opacity="0"/></linearGradient>'
            for to, start in ((1, 0), (-1, 1))
        )
        + f"</defs>{''.join(parts)}</svg>"
    )


def main() -> None:
    """Answer one request; a service would take longer."""
    request = json.load(sys.stdin)
    width, height = request.get("size") or (1024, 1024)
    time.sleep(3.5 if "harbour" in request["prompt"] else 0.2)
    drawn = pyvips.Image.svgload_buffer(scene(request["prompt"], request["take"], width, height).encode())
    sys.stdout.buffer.write(drawn.flatten().pngsave_buffer(compression=4))


if __name__ == "__main__":
    main()
