"""Building over real HTTP: the service's bill says what every edit cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pyvips
from project_folder import STUDIO, ProjectFolder

IMAGES = """\
images:
  hero:
    prompt: a lighthouse at dusk
    size: 1200x630
    output: out/hero.png
    alt: old words
  icon:
    prompt: an anchor
    size: 256x256
    output: out/icon.webp
"""


@pytest.fixture
def built(project: ProjectFolder, emulator) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    run = project.json("build")
    assert run.counts() == {"generated": 2, "submitted": 2}
    assert run.summary["cost"] == 0.02
    emulator.reset()
    return project


def submitted(emulator) -> int:
    return len(emulator.ledger()["charges"])


def size_of(project: ProjectFolder, name: str) -> tuple[int, int, str]:
    picture = pyvips.Image.new_from_file(str(project.root / name))
    return picture.width, picture.height, picture.get("vips-loader")


def test_files_have_exactly_the_declared_sizes_and_formats(built: ProjectFolder):
    assert size_of(built, "out/hero.png") == (1200, 630, "pngload")
    assert size_of(built, "out/icon.webp") == (256, 256, "webpload")


def test_the_lock_names_what_was_accepted(built: ProjectFolder):
    hero = built.lock["images"]["hero"]
    assert list(hero) == ["key", "model", "outputs", "provider", "source", "take"]
    assert (hero["provider"], hero["model"], hero["take"]) == ("uniall", "gpt-image-2", 1)
    assert (hero["source"]["width"], hero["source"]["height"]) == (1360, 768)
    assert hero["outputs"]["out/hero.png"]["bytes"] == len(built.read("out/hero.png"))


def test_a_second_build_submits_nothing_and_touches_nothing(built: ProjectFolder, emulator):
    before = built.stamps()
    run = built.json("build")
    assert run.counts() == {"unchanged": 2}
    assert built.stamps() == before
    assert emulator.ledger()["requests"] == {} or submitted(emulator) == 0


def test_editing_one_prompt_generates_one_image_and_reverting_it_none(built: ProjectFolder, emulator):
    first = built.read("out/hero.png")
    built.edit("a lighthouse at dusk", "a lighthouse at dawn")
    assert built.json("build").counts() == {"generated": 1, "unchanged": 1, "submitted": 1}
    assert built.read("out/hero.png") != first
    built.edit("a lighthouse at dawn", "a lighthouse at dusk")
    assert built.json("build").counts() == {"restored": 1, "unchanged": 1}
    assert built.read("out/hero.png") == first
    assert submitted(emulator) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  hero:\n", "  skyline:\n"),
        ("out/hero.png", "out/moved/hero.png"),
        ("alt: old words", "alt: new words"),
        ("alt: old words", "fit: contain"),
        ("out/hero.png", "out/hero.jpg"),
        ("size: 1200x630", "size: 1000x600"),
        ("poll_interval: 50ms", "poll_interval: 60ms"),
        ("low: 0.01", "low: 0.02"),
        ("  studio:\n", "  studio: &studio\n"),
    ],
    ids=["rename", "move", "alt", "fit", "format", "size", "interval", "price", "anchor"],
)
def test_what_does_not_decide_the_picture_submits_nothing(built: ProjectFolder, emulator, old: str, new: str):
    built.edit(old, new)
    run = built.json("build")
    assert run.summary["submitted"] == run.summary["generated"] == run.summary["failed"] == 0
    assert submitted(emulator) == 0
    assert built.json("build").counts() == {"unchanged": 2}


def test_another_name_for_the_provider_submits_nothing(built: ProjectFolder, emulator):
    text = (built.root / "imgbuild.yaml").read_text()
    built.manifest(text.replace("studio", "gateway"))
    assert built.json("build").counts() == {"unchanged": 2}
    assert submitted(emulator) == 0


def test_deleting_an_output_restores_it_byte_for_byte(built: ProjectFolder, emulator):
    first = built.read("out/hero.png")
    (built.root / "out/hero.png").unlink()
    assert built.json("build").counts() == {"restored": 1, "unchanged": 1}
    assert built.read("out/hero.png") == first
    assert submitted(emulator) == 0


def test_deleting_the_lock_adopts_from_the_cache(built: ProjectFolder, emulator):
    lock = built.read("imgbuild.lock")
    (built.root / "imgbuild.lock").unlink()
    assert built.json("build").counts() == {"unchanged": 2}
    assert built.read("imgbuild.lock") == lock
    assert submitted(emulator) == 0


def test_a_second_checkout_on_the_same_cache_submits_nothing(
    built: ProjectFolder, emulator, copy_project: Callable[..., ProjectFolder]
):
    (built.root / "imgbuild.lock").unlink()
    other = copy_project(built, "other")
    assert other.json("build").counts() == {"restored": 2}
    assert other.read("out/hero.png") == built.read("out/hero.png")
    assert submitted(emulator) == 0


def test_a_clone_with_committed_outputs_and_an_empty_cache_pays_nothing(
    built: ProjectFolder, emulator, copy_project: Callable[..., ProjectFolder]
):
    clone = copy_project(built, "clone", outputs=True, cache="empty")
    assert clone.json("build").counts() == {"unchanged": 2}
    (clone.root / "out/hero.png").unlink()
    assert clone.json("build").counts() == {"restored": 1, "unchanged": 1}
    assert clone.read("out/hero.png") == built.read("out/hero.png")
    assert submitted(emulator) == 0


def test_equal_keys_are_paid_once(built: ProjectFolder, emulator):
    built.manifest(
        (built.root / "imgbuild.yaml").read_text()
        + "  one: {prompt: same, size: 64x64, output: out/one.png}\n"
        + "  two: {prompt: same, size: 32x32, output: out/two.png}\n"
    )
    run = built.json("build")
    assert run.summary["submitted"] == 1
    assert submitted(emulator) == 1
    assert size_of(built, "out/one.png")[:2] == (64, 64)
    assert size_of(built, "out/two.png")[:2] == (32, 32)


def test_takes_use_the_services_own_n_and_more_takes_pay_only_for_the_new_ones(
    built: ProjectFolder, emulator
):
    built.edit("prompt: an anchor", "takes: 3\n    prompt: an anchor")
    run = built.json("build")
    assert run.counts() == {"generated": 1, "unchanged": 1, "submitted": 1}
    [charge] = emulator.ledger()["charges"]
    assert charge["n"] == 2
    built.edit("takes: 3", "takes: 1")
    assert built.json("build").counts() == {"unchanged": 2}


def test_an_image_as_reference_is_generated_first_and_its_change_says_so(built: ProjectFolder, emulator):
    built.edit("prompt: an anchor", 'references: ["@hero"]\n    prompt: an anchor')
    assert built.json("build").counts() == {"generated": 1, "unchanged": 1, "submitted": 1}
    built.edit("a lighthouse at dusk", "a lighthouse at noon")
    plan = built.json("plan").actions()
    assert plan["icon"]["action"] == "generate"
    assert [r["field"] for r in plan["icon"]["reasons"]] == ["references"]
    assert plan["icon"]["reasons"][0]["new"] == "@hero"
    assert built.json("build").counts() == {"generated": 2, "submitted": 2}


def test_building_one_target_leaves_the_others_alone(built: ProjectFolder, emulator):
    built.edit("a lighthouse at dusk", "a lighthouse at noon")
    built.edit("an anchor", "a rope")
    assert built.json("build", "icon").counts() == {"generated": 1, "submitted": 1}
    assert set(built.lock["images"]) == {"hero", "icon"}
    assert set(built.json("plan").actions()) == {"hero"}


def test_the_key_is_nowhere_but_in_requests_to_its_own_service(built: ProjectFolder, tmp_path):
    run = built.json("build", "-v")
    assert "sk-canary" not in run.out + run.err
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"sk-canary" not in path.read_bytes(), path
