"""The examples, built by the real command: exactly the declared files, and a bill without surprises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import pyvips

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example:
    """A copy of an example, with a home and a cache of its own."""

    def __init__(self, name: str, tmp_path: Path, **environ: str) -> None:
        self.root = tmp_path / name
        shutil.copytree(
            EXAMPLES / name,
            self.root,
            ignore=shutil.ignore_patterns(".imgbuild", "*.lock", "static", "assets", "images"),
        )
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home), **environ}

    def build(self, *words: str) -> dict[str, int]:
        command = [
            sys.executable,
            "-m",
            "imgbuild",
            "-C",
            str(self.root),
            "build",
            "--output-format",
            "json",
            *words,
        ]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout + done.stderr
        summary = json.loads(done.stdout.splitlines()[-1])
        names = ("generated", "derived", "restored", "unchanged", "submitted")
        return {name: summary[name] for name in names if summary[name]}

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Each file of the lock with the size that its pixels really have."""
        lock = json.loads((self.root / "imgbuild.lock").read_text())
        paths = [path for image in lock["images"].values() for path in image["outputs"]]
        pictures = {path: pyvips.Image.new_from_file(str(self.root / path)) for path in paths}
        return {path: (picture.width, picture.height) for path, picture in pictures.items()}

    def edit(self, old: str, new: str) -> None:
        path = self.root / "imgbuild.yaml"
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


def test_quickstart_builds_offline_without_an_account(tmp_path: Path) -> None:
    example = Example("quickstart", tmp_path)
    assert example.build("--offline") == {"generated": 3}
    assert example.sizes() == {
        "images/avatar.webp": (512, 512),
        "images/cover.png": (1200, 630),
        "images/wallpaper.jpg": (1920, 1080),
    }
    magic = {path: (example.root / path).read_bytes()[:12] for path in example.sizes()}
    assert magic["images/cover.png"].startswith(b"\x89PNG")
    assert magic["images/avatar.webp"][8:] == b"WEBP"
    assert magic["images/wallpaper.jpg"].startswith(b"\xff\xd8\xff")
    assert example.build() == {"unchanged": 3}


@pytest.mark.parametrize(("name", "sprites"), [("phaser", 10), ("godot", 7)])
def test_sprites_and_their_atlas_build_offline_without_an_account(
    name: str, sprites: int, tmp_path: Path
) -> None:
    example = Example(name, tmp_path)
    assert example.build("--offline") == {"generated": sprites, "derived": 1}
    assert set(example.sizes().values()) <= {(96, 96), (64, 64)}
    assert example.build() == {"unchanged": sprites}


@pytest.fixture
def site(tmp_path: Path, emulator) -> Example:
    return Example("site", tmp_path, IMGBUILD_STUDIO_URL=emulator.url)


def test_the_site_is_generated_over_http_and_a_second_build_submits_nothing(site: Example, emulator) -> None:
    assert site.build() == {"generated": 7, "derived": 2, "submitted": 7}
    assert len(emulator.ledger()["charges"]) == 7
    assert site.sizes()["static/img/hero.jpg"] == (1920, 800)
    assert site.sizes()["static/icon-32.png"] == (32, 32)
    assert site.build() == {"unchanged": 9}
    site.edit('at sunrise"', 'at first light"')
    assert site.build() == {"unchanged": 9}
    site.edit("{time: sunrise}", "{time: noon}")
    assert site.build() == {"generated": 1, "unchanged": 8, "submitted": 1}
    site.edit("{time: noon}", "{time: sunrise}")
    assert site.build() == {"restored": 1, "unchanged": 8}
    assert len(emulator.ledger()["charges"]) == 8


def test_the_game_is_generated_with_its_references(tmp_path: Path, emulator) -> None:
    game = Example("game", tmp_path, IMGBUILD_STUDIO_URL=emulator.url)
    counts = game.build("--yes")
    assert counts["generated"] == 11
    assert len(game.sizes()) == 11
    assert game.build() == {"unchanged": 11}
    charges = emulator.ledger()["charges"]
    assert len(charges) == counts["submitted"] == 11
