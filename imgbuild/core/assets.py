"""The assets table: what a page needs to know of each image, as JSON or as TypeScript."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from imgbuild.core.addresses import below, web_path
from imgbuild.core.errors import UsageError
from imgbuild.core.image import Json

EXTENSIONS = (".json", ".ts", ".d.ts")
"""What a table can be written as."""

_ORDER = ("avif", "webp", "jpeg", "png")
"""Formats in the order in which a page should offer them."""
_SIGN = "// Made by imgbuild: changes are lost."
_DECLARATIONS = re.compile(r"\.d(\.\w+)?\.ts\Z")
_ALWAYS = frozenset({"src", "width", "height", "alt", "type", "digest", "srcset", "files"})


@dataclass(frozen=True, slots=True)
class AssetsOptions:
    """The table as declared. Paths are relative to the manifest's folder."""

    output: str
    root: str = ""
    """The folder that is served: addresses are relative to it."""
    url: str = ""
    """What stands before each address."""


@dataclass(frozen=True, slots=True)
class AssetFile:
    """One finished file of an image. Width and height are pixels."""

    path: str
    width: int
    height: int
    format: str
    """png, jpeg, webp or avif."""
    digest: str
    """SHA-256 of its bytes."""
    nine_slice: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom."""
    same_picture: bool = True
    """It shows what the image's own file shows, only in another size or format, so that a browser may choose
    it instead. Not so where it was trimmed, padded, pixelated or changed otherwise."""


@dataclass(frozen=True, slots=True)
class AssetEntry:
    """What the table says of one image."""

    id: str
    file: AssetFile
    """The image's own output."""
    derived: tuple[AssetFile, ...] = ()
    """In the manifest's order."""
    alt: str | None = None
    tags: tuple[str, ...] = ()
    sizes: str | None = None
    """As HTML's `sizes`, where it is declared."""
    lqip: str | None = None
    """A tiny picture as a data URI."""
    color: str | None = None
    """The dominant colour, as #rrggbb."""
    thumbhash: str | None = None
    """Base64."""


def assets_table(entries: Iterable[AssetEntry], options: AssetsOptions) -> dict[str, Json]:
    """One member an image id, sorted: its file's address, size, alternative text, type and digest, a srcset
    by format, every derived file, previews to show while it loads, its tags. Addresses are percent-encoded.

    Raises:
        UsageError: a file outside the folder that is served; the message names the image.
    """
    return {entry.id: _row(entry, options) for entry in sorted(entries, key=lambda entry: entry.id)}


def render_assets(table: Mapping[str, Json], path: str) -> str:
    """The table's text in the format that the path's extension stands for, ending in one newline.

    Raises:
        UsageError: another extension.
    """
    if path.endswith(".json"):
        return _json(table) + "\n"
    if _DECLARATIONS.search(path):
        return _declarations(table)
    if path.endswith(".ts"):
        return (
            f"{_SIGN}\nexport const images = {_json(table)} as const;\n\n"
            "export default images;\nexport type ImageId = keyof typeof images;\n"
        )
    raise UsageError(
        f"{path}: an assets table is written as {', '.join(EXTENSIONS)}",
        remedy="change the extension of the assets' output",
    )


def recognised(text: str, path: str) -> bool:
    """Whether a file that exists is a table of ours, or is blank.

    What is not recognised belongs to somebody else and must not be replaced.
    """
    if not text.strip():
        return True
    if not path.endswith(".json"):
        return text.startswith(_SIGN)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(table, dict) and all(
        isinstance(row, dict) and row.keys() >= _ALWAYS for row in table.values()
    )


def _row(entry: AssetEntry, options: AssetsOptions) -> dict[str, Json]:
    main = entry.file
    files: list[Json] = [_file(file, entry, options) for file in entry.derived]
    return {
        "src": _address(main, entry, options),
        "width": main.width,
        "height": main.height,
        "alt": entry.alt or "",
        "type": _mime(main),
        "digest": main.digest,
        "srcset": dict(_srcset(entry, options)),
        "sizes": entry.sizes or f"(min-width: {main.width}px) {main.width}px, 100vw",
        "files": files,
        "lqip": entry.lqip,
        "color": entry.color,
        "thumbhash": entry.thumbhash,
        "tags": list(entry.tags),
    }


def _file(file: AssetFile, entry: AssetEntry, options: AssetsOptions) -> dict[str, Json]:
    members: dict[str, Json] = {
        "src": _address(file, entry, options),
        "width": file.width,
        "height": file.height,
        "type": _mime(file),
    }
    if file.nine_slice is not None:
        members["nine_slice"] = dict(zip(("left", "top", "right", "bottom"), file.nine_slice, strict=True))
    return members


def _srcset(entry: AssetEntry, options: AssetsOptions) -> Iterator[tuple[str, Json]]:
    """By format, widths ascending. A browser takes any of them for the same picture, so others stay out."""
    main = entry.file
    offered = [file for file in (main, *entry.derived) if file.same_picture and _alike(file, main)]
    for format in _ORDER:
        by_width: dict[int, AssetFile] = {}
        for file in offered:
            if file.format == format:
                by_width.setdefault(file.width, file)
        if by_width:
            parts = (f"{_address(by_width[width], entry, options)} {width}w" for width in sorted(by_width))
            yield format, ", ".join(parts)


def _alike(file: AssetFile, main: AssetFile) -> bool:
    """The same ratio, but for the rounding of a height to whole pixels."""
    return abs(file.height * main.width - file.width * main.height) < main.width


def _address(file: AssetFile, entry: AssetEntry, options: AssetsOptions) -> str:
    path = below(file.path, options.root)
    if path is None:
        raise UsageError(
            f'image "{entry.id}": {file.path} is outside {options.root}, the root of the assets table',
            remedy="set root to a folder that holds every output, or move the output into it",
        )
    address = web_path(path)
    return f"{options.url.removesuffix('/')}/{address}" if options.url else address


def _mime(file: AssetFile) -> str:
    return f"image/{file.format}"


def _json(table: Mapping[str, Json]) -> str:
    return json.dumps(table, ensure_ascii=False, indent=2)


def _declarations(table: Mapping[str, Json]) -> str:
    ids = " | ".join(json.dumps(id, ensure_ascii=False) for id in table) or "never"
    return f"""{_SIGN}
export interface ImageFile {{
  readonly src: string;
  readonly width: number;
  readonly height: number;
  readonly type: string;
  readonly nine_slice?: {{
    readonly left: number;
    readonly top: number;
    readonly right: number;
    readonly bottom: number;
  }};
}}

export interface ImageAsset {{
  readonly src: string;
  readonly width: number;
  readonly height: number;
  readonly alt: string;
  readonly type: string;
  readonly digest: string;
  readonly srcset: {{ readonly [format in "avif" | "webp" | "jpeg" | "png"]?: string }};
  readonly sizes: string;
  readonly files: readonly ImageFile[];
  readonly lqip: string | null;
  readonly color: string | null;
  readonly thumbhash: string | null;
  readonly tags: readonly string[];
}}

export type ImageId = {ids};
export declare const images: {{ readonly [id in ImageId]: ImageAsset }};
export default images;
"""
