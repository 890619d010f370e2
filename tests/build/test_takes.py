"""Candidates: listing them, picking one, paying for more; nothing is lost by choosing."""

from __future__ import annotations

import pytest
from project_folder import STUDIO, ProjectFolder

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 64x64, takes: 3, output: out/hero.png}
  icon: {prompt: an anchor, size: 64x64, output: out/icon.png}
"""


@pytest.fixture
def built(project: ProjectFolder, emulator) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.json("build")
    emulator.reset()
    return project


def numbers(project: ProjectFolder, target: str = "hero") -> list[tuple[int, bool]]:
    events = project.json("takes", target).events
    return [(e["value"]["number"], e["value"]["picked"]) for e in events if e["event"] == "data"]


def test_takes_lists_every_candidate(built: ProjectFolder):
    assert numbers(built) == [(1, True), (2, False), (3, False)]
    run = built.run("takes", "hero")
    assert [line.split()[:3] for line in run.out.splitlines()] == [
        ["hero", "take", "1"], ["hero", "take", "2"], ["hero", "take", "3"],
    ]  # fmt: skip


def test_picking_another_take_changes_output_and_lock_and_costs_nothing(built: ProjectFolder, emulator):
    first = built.read("out/hero.png")
    assert built.json("pick", "hero", "3").counts() == {"derived": 1}
    assert built.lock["images"]["hero"]["take"] == 3
    assert built.read("out/hero.png") != first
    assert numbers(built) == [(1, False), (2, False), (3, True)]
    assert built.json("build").counts() == {"unchanged": 2}
    built.json("pick", "hero", "1")
    assert built.read("out/hero.png") == first
    assert emulator.ledger()["charges"] == []


def test_the_picked_take_is_what_other_images_refer_to(built: ProjectFolder, emulator):
    built.edit("prompt: an anchor", "references: ['@hero'], prompt: an anchor")
    built.json("build")
    built.json("pick", "hero", "2")
    assert built.json("plan").actions()["icon"]["reasons"][0]["field"] == "references"


@pytest.mark.parametrize("take", ["4", "99"])
def test_a_take_that_does_not_exist_is_exit_2(built: ProjectFolder, take: str):
    before = built.files()
    run = built.run("pick", "hero", take)
    assert run.code == 2
    assert "it has 1, 2, 3" in run.err
    assert built.files() == before


def test_a_retouched_output_is_not_replaced_by_picking(built: ProjectFolder):
    built.write("out/hero.png", "mine")
    lock = built.read("imgbuild.lock")
    assert built.json("pick", "hero", "2", code=1).counts() == {"conflicts": 1}
    assert (built.read("out/hero.png"), built.read("imgbuild.lock")) == (b"mine", lock)


def test_reroll_adds_takes_and_pins_the_first_new_one(built: ProjectFolder, emulator):
    run = built.json("reroll", "hero", "-n", "2")
    assert run.counts() == {"generated": 1, "submitted": 1}
    assert numbers(built) == [(1, False), (2, False), (3, False), (4, True), (5, False)]
    [charge] = emulator.ledger()["charges"]
    assert charge["n"] == 2
    assert built.json("build").counts() == {"unchanged": 2}
    built.json("pick", "hero", "1")
    assert numbers(built)[0] == (1, True)
    assert len(emulator.ledger()["charges"]) == 1


def test_a_reroll_that_fails_changes_nothing(built: ProjectFolder, emulator):
    built.edit("a lighthouse", "'a lighthouse [fault:fail:2]'")
    built.json("build", code=1)
    lock = built.read("imgbuild.lock")
    run = built.json("reroll", "icon", "--max-cost", "0", code=4)
    assert run.summary["submitted"] == 0
    assert built.read("imgbuild.lock") == lock


def test_a_clone_that_knows_only_the_lock_rerolls_beyond_its_take(
    built: ProjectFolder, emulator, copy_project
):
    built.json("pick", "hero", "3")
    clone = copy_project(built, "clone", outputs=True, cache="empty")
    assert clone.json("reroll", "hero").counts() == {"generated": 1, "submitted": 1}
    assert clone.lock["images"]["hero"]["take"] == 4
