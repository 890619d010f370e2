"""Pixi reads the same tables as Phaser, and it alone of the two draws frames that lie turned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from project_folder import ProjectFolder
from real_tools import Browser, full_only, paint, picture, shows

HERE = Path(__file__).parent / "pixi"


@full_only
def test_pixi_puts_trimmed_and_turned_sprites_back_and_knows_the_animation(
    copy_example: Callable[[str], ProjectFolder],
    npm_install: Callable[[Path], None],
    serve: Callable[[Path], str],
    browser: Browser,
    tmp_path: Path,
) -> None:
    game = copy_example("phaser")
    paint(game)
    game.edit("pow2: true", "rotate: true")
    game.json("build")
    frames = json.loads(game.read("public/assets/sprites.json"))["frames"]
    assert all(frame["trimmed"] for frame in frames.values())
    assert any(frame["rotated"] for frame in frames.values())

    shutil.copy(HERE / "package.json", tmp_path)
    npm_install(tmp_path)
    shutil.copy(tmp_path / "node_modules/pixi.js/dist/pixi.min.mjs", tmp_path)
    for file in (HERE / "index.html", *(game.root / "public/assets").iterdir()):
        shutil.copy(file, tmp_path)
    visit = browser.visit(serve(tmp_path), until="window.found", report="window.found")

    assert visit.problems == []
    assert visit.report["animations"] == [["walk", 6]]
    assert set(visit.report["names"]) == frames.keys() == game.lock["images"].keys()
    drawn = picture(visit.report["picture"])
    for index, name in enumerate(visit.report["names"]):
        file = next(iter(game.lock["images"][name]["outputs"]))
        assert shows(drawn, game.read(file), 96 * index, 0), name
