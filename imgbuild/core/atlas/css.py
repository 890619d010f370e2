"""CSS sprites: a class an atlas, and a class a frame. `<i class="icons sword"></i>` shows a sword."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from imgbuild.core.addresses import relative, web_path
from imgbuild.core.atlas.frame import AtlasOptions, Frame, Layout, page_path
from imgbuild.core.errors import UsageError

SIGN = "/* Sprites made by imgbuild from "
"""How every such file begins."""


def write_css(layout: Layout, options: AtlasOptions) -> Mapping[str, str]:
    """One file for all pages. A frame's element is as large as its whole picture, also where it was trimmed.

    Raises:
        UsageError: two frames would get one class.
    """
    common = f".{_identifier(options.name)}"
    pages = [f'url("{_address(options, page)}")' for page in range(len(layout.pages))]
    blocks = [
        f"{SIGN}{relative(options.output, options.data).replace('*/', '* /')} */",
        _rule(
            common,
            "display: inline-block",
            "box-sizing: content-box",
            f"background: {pages[0]} no-repeat content-box",
        ),
    ]
    classes: dict[str, str] = {}
    for frame in layout.frames:
        name = _class(frame.name)
        if name in classes:
            raise UsageError(
                f'the atlas "{options.name}" would give "{classes[name]}" and "{frame.name}" one CSS class',
                remedy="rename one of the images, or leave one out",
            )
        classes[name] = frame.name
        blocks.append(_rule(f"{common}.{_identifier(name)}", *_declarations(frame, pages)))
    return {options.data: "\n\n".join(blocks) + "\n"}


def _declarations(frame: Frame, pages: list[str]) -> Iterator[str]:
    yield f"width: {frame.width}px"
    yield f"height: {frame.height}px"
    if frame.trimmed:
        right = frame.source.width - frame.left - frame.width
        bottom = frame.source.height - frame.top - frame.height
        yield "padding: " + " ".join(_pixels(n) for n in (frame.top, right, bottom, frame.left))
    if frame.page:
        yield f"background-image: {pages[frame.page]}"
    yield f"background-position: {_pixels(-frame.x)} {_pixels(-frame.y)}"


def _rule(selector: str, *declarations: str) -> str:
    return "\n".join([f"{selector} {{", *(f"  {line};" for line in declarations), "}"])


def _pixels(number: int) -> str:
    return f"{number}px" if number else "0"


def _class(name: str) -> str:
    """A class cannot have a space: in HTML it would be two."""
    return re.sub(r"\s+", "-", name)


def _identifier(name: str) -> str:
    """A name as CSS writes it (CSSOM, "serialize an identifier")."""
    parts = []
    for at, char in enumerate(name):
        digit_first = char.isdecimal() and char.isascii() and (at == 0 or (at == 1 and name[0] == "-"))
        if digit_first or char < " " or char == "\x7f":
            parts.append(f"\\{ord(char):x} ")
        elif char >= "\x80" or char in "-_" or char.isalnum():
            parts.append(f"\\{char}" if name == "-" else char)
        else:
            parts.append(f"\\{char}")
    return "".join(parts)


def _address(options: AtlasOptions, page: int) -> str:
    return web_path(relative(page_path(options.output, page), options.data))
