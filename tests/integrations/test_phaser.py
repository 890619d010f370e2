"""The Phaser example: its atlas loaded by the real engine, and what is drawn held against the sprites' own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import ProjectFolder
from real_tools import Browser, npm_run, paint, picture, shows

# Every frame of the animation is waited for; then it stands still, and the next picture is what is read back.
PLAYED = """(() => {
    const scene = window.game?.scene.scenes[0];
    const walker = scene?.children?.list.find((one) => one.anims?.isPlaying);
    if (!walker) return false;
    window.played ??= new Set();
    window.played.add(walker.frame.name);
    return window.played.size === 6;
})()"""
DRAWN = """new Promise((resolve) => {
    const sprites = game.scene.scenes[0].children.list.filter((one) => one.texture?.key === "sprites");
    for (const one of sprites) one.anims?.pause();
    game.renderer.snapshot((image) => resolve({
        frames: game.textures.get("sprites").getFrameNames(),
        played: [...window.played],
        picture: image.src,
        sprites: sprites.map((one) => ({
            frame: one.frame.name, left: one.x - one.displayOriginX, top: one.y - one.displayOriginY,
        })),
    }));
})"""


@pytest.fixture(scope="module")
def game(copy_example: Callable[[str], ProjectFolder], npm_install: Callable[[Path], None]) -> ProjectFolder:
    """The example with sprites that have empty borders to trim, all in place."""
    project = copy_example("phaser")
    paint(project)
    npm_install(project.root)
    assert project.json("build").counts()["generated"] == 10
    npm_run(project, "build")
    return project


def sprite_files(game: ProjectFolder) -> dict[str, bytes]:
    """The file of each image that is packed."""
    return {id: game.read(next(iter(image["outputs"]))) for id, image in game.lock["images"].items()}


def test_phaser_draws_every_sprite_where_it_should_be_and_plays_the_animation(
    game: ProjectFolder, serve: Callable[[Path], str], browser: Browser
) -> None:
    frames = json.loads(game.read("public/assets/sprites.json"))["frames"].values()
    assert all(frame["trimmed"] for frame in frames)
    visit = browser.visit(serve(game.root / "public"), until=PLAYED, report=DRAWN)
    assert visit.problems == []
    files = sprite_files(game)
    assert set(visit.report["frames"]) == files.keys()
    assert set(visit.report["played"]) == {id for id in files if id.startswith("walk")}
    drawn = picture(visit.report["picture"])
    assert (drawn.width, drawn.height) == (640, 360)
    assert len(visit.report["sprites"]) == 5
    for sprite in visit.report["sprites"]:
        assert shows(drawn, files[sprite["frame"]], sprite["left"], sprite["top"]), sprite


def test_a_build_after_the_game_was_played_does_nothing(game: ProjectFolder) -> None:
    before = game.stamps()
    assert set(game.json("build").counts()) == {"unchanged"}
    assert game.stamps() == before
