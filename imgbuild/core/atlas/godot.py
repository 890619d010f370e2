"""Godot's text resource: a SpriteFrames whose frames are AtlasTextures, for Godot 4 and for Godot 3.

Each animation is one there, and each other image an animation of one frame, so that both are found by name.
The forms are those that the engines' own editors save: `format=3` in Godot 4, `format=2` in Godot 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from imgbuild.core.addresses import below
from imgbuild.core.atlas.frame import AtlasOptions, Frame, Layout, page_path
from imgbuild.core.errors import UsageError

SPEED = "10.0"
"""Frames a second; a scene sets its own with `speed_scale`."""


def write_godot(layout: Layout, options: AtlasOptions) -> Mapping[str, str]:
    """One file for all pages. Raises UsageError where a picture is outside the folder of Godot's project."""
    return {options.data: "\n".join(_lines(layout, options, version=4)) + "\n"}


def write_godot3(layout: Layout, options: AtlasOptions) -> Mapping[str, str]:
    """The same for Godot 3."""
    return {options.data: "\n".join(_lines(layout, options, version=3)) + "\n"}


def _lines(layout: Layout, options: AtlasOptions, version: int) -> Iterator[str]:
    steps = 1 + len(layout.pages) + len(layout.frames)
    yield f'[gd_resource type="SpriteFrames" load_steps={steps} format={version - 1}]'
    yield ""
    texture = "Texture2D" if version == 4 else "Texture"
    pages = [_id(str(page + 1), version) for page in range(len(layout.pages))]
    for page, id in enumerate(pages):
        address = _quoted(f"res://{_inside(page_path(options.output, page), options)}")
        yield f'[ext_resource type="{texture}" path={address} id={id}]'
    ids = {
        frame.name: _id(_texture_name(frame) if version == 4 else str(number), version)
        for number, frame in enumerate(layout.frames, 1)
    }
    for frame in layout.frames:
        rest = (frame.source.width - frame.width, frame.source.height - frame.height)
        yield ""
        yield f'[sub_resource type="AtlasTexture" id={ids[frame.name]}]'
        yield f"atlas = ExtResource({pages[frame.page]})"
        yield f"region = Rect2({frame.x}, {frame.y}, {frame.width}, {frame.height})"
        if frame.trimmed:
            yield f"margin = Rect2({frame.left}, {frame.top}, {rest[0]}, {rest[1]})"
    yield ""
    yield "[resource]"
    singles = {frame.name: (frame,) for frame in layout.frames if frame.animation is None}
    animations: Mapping[str, Sequence[Frame]] = {**singles, **layout.animations()}
    entries = (
        _animation(name, [ids[frame.name] for frame in animations[name]], version)
        for name in sorted(animations)
    )
    yield "animations = [" + ", ".join(entries) + "]"


def _animation(name: str, textures: Sequence[str], version: int) -> str:
    if version == 4:
        frames = ", ".join(
            f'{{\n"duration": 1.0,\n"texture": SubResource({texture})\n}}' for texture in textures
        )
        name = f"&{_quoted(name)}"
    else:
        frames = ", ".join(f"SubResource({texture})" for texture in textures)
        name = _quoted(name)
    return f'{{\n"frames": [{frames}],\n"loop": true,\n"name": {name},\n"speed": {SPEED}\n}}'


def _id(text: str, version: int) -> str:
    """Ids are texts in Godot 4 and numbers in Godot 3."""
    return f'"{text}"' if version == 4 else text


def _texture_name(frame: Frame) -> str:
    """By the frame's name, so that a new frame does not number all the others anew."""
    return f"AtlasTexture_{hashlib.sha256(frame.name.encode()).hexdigest()[:12]}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _inside(path: str, options: AtlasOptions) -> str:
    inside = below(path, options.root)
    if inside is None:
        raise UsageError(
            f'the atlas "{options.name}": {path} is outside {options.root}, which res:// stands for',
            remedy="set root to the folder of project.godot, or move output into it",
        )
    return inside
