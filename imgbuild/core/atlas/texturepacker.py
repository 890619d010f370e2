"""TexturePacker's JSON, as hash and as array: what Phaser, Pixi and most engines read.

The members are those that the readers of Phaser 3 and 4 (`textures/parsers/JSONHash.js`, `JSONArray.js`) and
of Pixi 8 (`spritesheet/Spritesheet`) look at. Sizes are upright there, also of a frame that lies turned.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from imgbuild.core.addresses import relative
from imgbuild.core.atlas.frame import AtlasOptions, Frame, Layout, page_path
from imgbuild.core.image import Json

APP = "imgbuild"
_VERSION = "1.0"
"""Of these files' form, not of imgbuild: an upgrade must not rewrite them."""


def write_hash(layout: Layout, options: AtlasOptions) -> Mapping[str, str]:
    """One file a page; `frames` is an object by name."""
    return _write(layout, options, as_array=False)


def write_array(layout: Layout, options: AtlasOptions) -> Mapping[str, str]:
    """One file a page; `frames` is a list, each with its `filename`."""
    return _write(layout, options, as_array=True)


def _write(layout: Layout, options: AtlasOptions, *, as_array: bool) -> Mapping[str, str]:
    files: dict[str, str] = {}
    paths = [page_path(options.data, page) for page in range(len(layout.pages))]
    for page, path in enumerate(paths):
        frames = {frame.name: _frame(frame) for frame in layout.on_page(page)}
        listed: list[Json] = [{"filename": name, **frame} for name, frame in frames.items()]
        table: dict[str, Json] = {"frames": listed if as_array else {**frames}}
        animations = _animations(layout, page)
        if animations:
            table["animations"] = animations
        table["meta"] = {
            "app": APP,
            "version": _VERSION,
            "image": relative(page_path(options.output, page), path),
            "format": "RGBA8888",
            "size": {"w": layout.pages[page].width, "h": layout.pages[page].height},
            "scale": "1",
            "smartupdate": f"${APP}:SmartUpdate:{_digest(table, layout.prints[page : page + 1])}$",
            **_related(path, paths),
        }
        files[path] = _text(table)
    return files


def _frame(frame: Frame) -> dict[str, Json]:
    size = frame.upright
    members: dict[str, Json] = {
        "frame": {"x": frame.x, "y": frame.y, "w": size.width, "h": size.height},
        "rotated": frame.turn != 0,
        "trimmed": frame.trimmed,
        "spriteSourceSize": {"x": frame.left, "y": frame.top, "w": size.width, "h": size.height},
        "sourceSize": {"w": frame.source.width, "h": frame.source.height},
    }
    if frame.nine_slice is not None:
        left, top, right, bottom = frame.nine_slice
        # Pixi's name for them, and then Phaser's, which is the part that stretches.
        members["borders"] = {"left": left, "top": top, "right": right, "bottom": bottom}
        middle = max(0, size.width - left - right), max(0, size.height - top - bottom)
        members["scale9Borders"] = {"x": left, "y": top, "w": middle[0], "h": middle[1]}
    return members


def _animations(layout: Layout, page: int) -> dict[str, Json]:
    """Those whose frames are all on the page: Pixi finds no others, and would play gaps."""
    return {
        name: [frame.name for frame in frames]
        for name, frames in layout.animations().items()
        if all(frame.page == page for frame in frames)
    }


def _text(table: Mapping[str, Json]) -> str:
    """A line for each frame, each animation and each member of `meta`: short files, and short differences."""
    parts = []
    for name, members in table.items():
        if isinstance(members, dict):
            lines = [f"    {_line(key)}: {_line(value)}" for key, value in members.items()]
            opening, closing = "{", "}"
        else:
            lines = [f"    {_line(value)}" for value in members] if isinstance(members, list) else []
            opening, closing = "[", "]"
        parts.append(f"  {_line(name)}: {opening}\n" + ",\n".join(lines) + f"\n  {closing}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _related(path: str, paths: list[str]) -> dict[str, Json]:
    others: list[Json] = [relative(other, path) for other in paths if other != path]
    return {"related_multi_packs": others} if others else {}


def _digest(table: Mapping[str, Json], prints: Sequence[str]) -> str:
    """Of the table and of the page's pixels: who has both can tell whether they belong together."""
    text = json.dumps([table, *prints], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
