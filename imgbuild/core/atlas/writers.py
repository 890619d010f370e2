"""The formats of atlas tables, and how to tell that a file is one of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from imgbuild.core.atlas.css import SIGN, write_css
from imgbuild.core.atlas.frame import AtlasOptions, Layout
from imgbuild.core.atlas.godot import write_godot, write_godot3
from imgbuild.core.atlas.libgdx import write_libgdx
from imgbuild.core.atlas.texturepacker import APP, write_array, write_hash

_WRITERS: Mapping[str, Callable[[Layout, AtlasOptions], Mapping[str, str]]] = MappingProxyType(
    {
        "texturepacker-hash": write_hash,
        "texturepacker-array": write_array,
        "libgdx": write_libgdx,
        "godot": write_godot,
        "godot3": write_godot3,
        "css": write_css,
    }
)
FORMATS = tuple(_WRITERS)
"""Every format that an atlas' table can have."""

_LIBGDX = re.compile(r"(.+)\nsize: \d+, \d+\nformat: RGBA8888\n")
_GODOT = re.compile(r'\[gd_resource type="SpriteFrames" [^\n]*\]\n\n\[ext_resource [^\n]*path="([^"\n]+)"')


def write_atlas(layout: Layout, options: AtlasOptions) -> Mapping[str, str]:
    """The tables' texts by path. The same layout and options give the same texts.

    Raises:
        UsageError: a name or path that the format cannot hold.
    """
    return _WRITERS[options.format](layout, options)


def recognised_atlas(text: str, picture: str) -> bool:
    """Whether a file that exists is a table of ours for the page's picture of this path, or is blank.

    What is not recognised belongs to somebody else and must not be replaced.
    """
    if not text.strip():
        return True
    name = picture.rpartition("/")[2]
    return _picture_named(text).rpartition("/")[2] == name


def _picture_named(text: str) -> str:
    if text.startswith("{"):
        return _picture_in_json(text)
    if text.startswith(SIGN):
        return text.removeprefix(SIGN).partition(" */")[0]
    found = _GODOT.match(text) or _LIBGDX.match(text)
    return found[1] if found else ""


def _picture_in_json(text: str) -> str:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    meta = table.get("meta")
    ours = isinstance(meta, dict) and meta.get("app") == APP and "frames" in table
    return str(meta.get("image")) if ours else ""
