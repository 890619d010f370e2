"""The examples: they load without an error, their providers can do what they ask, and nothing built is kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgbuild.core.manifest.project import Project
from imgbuild.run.workspace import Invocation, Loaded
from imgbuild.run.workspace import load as load_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"


def loaded(name: str, profile: str | None = None) -> Loaded:
    return load_manifest(Invocation(EXAMPLES / name, profile=profile))


def load(name: str, profile: str | None = None) -> Project:
    return loaded(name, profile).project


IMAGES = {"quickstart": 3, "site": 9, "game": 11, "eleventy": 7, "phaser": 10, "godot": 7}


@pytest.mark.parametrize(("name", "images"), IMAGES.items())
def test_an_example_has_its_images_and_its_provider_can_make_them(name: str, images: int) -> None:
    project = load(name)
    assert len(project.images) == images
    assert len(loaded(name).resolved) == images


def test_every_folder_is_an_example_with_a_readme() -> None:
    folders = [manifest.parent for manifest in EXAMPLES.glob("*/imgbuild.yaml")]
    assert {folder.name for folder in folders} == IMAGES.keys()
    for folder in folders:
        assert (folder / "README.md").is_file()
        first = (folder / "imgbuild.yaml").read_text(encoding="utf-8").splitlines()[0]
        schema = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert schema is not None
        assert (folder / schema[1]).resolve() == EXAMPLES.parent / "schema" / "imgbuild.schema.json"


@pytest.mark.parametrize("name", IMAGES)
def test_what_a_build_makes_is_ignored(name: str) -> None:
    ignored = (EXAMPLES / name / ".gitignore").read_text(encoding="utf-8").split()
    assert "/.imgbuild/" in ignored
    assert any(pattern.startswith("/imgbuild") and pattern.endswith(".lock") for pattern in ignored)
    for image in load(name).images:
        for path in (image.output, *(file.path for file in image.derive)):
            assert any(f"/{path}".startswith(pattern) for pattern in ignored), path


def test_the_site_asks_for_its_icon_once() -> None:
    resolved = loaded("site").resolved
    asks = {one.ask.asked for one in resolved if one.image.name == "favicon"}
    prompts = {one.image.prompt for one in resolved if one.image.name == "favicon"}
    assert len(asks) == len(prompts) == 1


def test_the_site_has_a_profile_for_the_final_pictures() -> None:
    qualities = {image.id: image.quality for image in load("site", "final").images}
    assert qualities["og[night-train-north]"] == "high"


def test_the_game_names_files_by_the_tones_keys() -> None:
    project = load("game")
    outputs = {image.output for image in project.images if image.name == "item"}
    assert "assets/items/sword-frost.png" in outputs
    assert "assets/items/potion-frost.png" not in outputs
    assert "assets/items/crown-ember.png" in outputs
    assert project.order.index("hero") < project.order.index("rival")
