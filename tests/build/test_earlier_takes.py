"""Results of earlier prompts: listed, and picked again without paying and without a quarrel with the manifest."""

from __future__ import annotations

import pytest
from project_folder import STUDIO, ProjectFolder

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 64x64, output: out/hero.png}
"""


@pytest.fixture
def changed(project: ProjectFolder, emulator) -> ProjectFolder:
    """Built with one prompt, then with another."""
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.json("build")
    project.write("first.png", project.read("out/hero.png"))
    project.edit("a lighthouse", "a windmill")
    project.json("build")
    emulator.reset()
    return project


def takes(project: ProjectFolder, *words: str) -> list[dict]:
    return [e["value"] for e in project.json("takes", "hero", *words).events if e["event"] == "data"]


def test_all_takes_are_listed_with_prompts_dates_and_costs(changed: ProjectFolder):
    assert [take["prompt"] for take in takes(changed)] == ["a windmill"]
    now, before = takes(changed, "--all")
    assert (now["earlier"], now["picked"], before["earlier"], before["picked"]) == (False, True, True, False)
    assert (before["prompt"], before["cost"], before["unit"]) == ("a lighthouse", 0.01, "USD")
    assert before["handle"] == f"{before['key'][:6]}.1"
    out = changed.run("takes", "hero", "--all").out
    assert before["handle"] in out
    assert "a lighthouse" in out


def test_an_earlier_result_is_picked_as_a_take_of_the_prompt_of_today(changed: ProjectFolder, emulator):
    lock = changed.lock["images"]["hero"]
    handle = takes(changed, "--all")[1]["handle"]
    assert changed.json("pick", "hero", handle).summary["submitted"] == 0
    assert changed.read("out/hero.png") == changed.read("first.png")
    entry = changed.lock["images"]["hero"]
    assert (entry["key"], entry["take"], entry["provider"]) == (lock["key"], 2, "uniall")
    assert changed.json("build").counts() == {"unchanged": 1}
    assert changed.json("build", "--locked").counts() == {"unchanged": 1}
    one, two = takes(changed)
    assert (one["prompt"], two["prompt"], two["adopted"], two["picked"]) == (
        "a windmill",
        "a lighthouse",
        True,
        True,
    )
    changed.json("pick", "hero", "1")
    changed.json("pick", "hero", handle)
    assert len(takes(changed)) == 2
    assert emulator.ledger()["charges"] == []


def test_what_was_paid_is_on_the_bill_once(changed: ProjectFolder):
    def spent() -> float:
        return next(e["value"]["cost"] for e in changed.json("spend").events if e["event"] == "data")

    before = spent()
    changed.json("pick", "hero", takes(changed, "--all")[1]["handle"])
    assert spent() == before


def test_putting_the_old_prompt_back_finds_the_first_take_again(changed: ProjectFolder, emulator):
    changed.json("pick", "hero", takes(changed, "--all")[1]["handle"])
    changed.edit("a windmill", "a lighthouse")
    changed.json("build")
    assert changed.read("out/hero.png") == changed.read("first.png")
    assert changed.lock["images"]["hero"]["take"] == 1
    assert emulator.ledger()["charges"] == []


def test_the_handle_of_a_current_take_is_that_take(changed: ProjectFolder):
    [take] = takes(changed)
    assert changed.json("pick", "hero", take["handle"]).counts() == {"unchanged": 1}
    assert len(takes(changed)) == 1


@pytest.mark.parametrize("handle", ["abcdef.1", "zz.1", "abcdef.", "0", "-1", "x"])
def test_a_handle_that_means_nothing_is_exit_2(changed: ProjectFolder, handle: str):
    before = changed.files()
    run = changed.run("pick", "hero", handle)
    assert run.code == 2
    assert len(run.err.splitlines()) <= 2
    assert changed.files() == before


def test_results_of_another_project_are_not_listed(changed: ProjectFolder, new_project, emulator):
    other = new_project("other")
    other.manifest(STUDIO.format(url=emulator.url) + IMAGES.replace("a lighthouse", "a cow"))
    other.json("build")
    assert [take["prompt"] for take in takes(other, "--all")] == ["a cow"]


def test_takes_before_the_accepted_one_are_not_paid_for_again(changed: ProjectFolder, emulator, copy_project):
    changed.json("reroll", "hero")
    clone = copy_project(changed, "clone", outputs=True, cache="empty")
    emulator.reset()
    clone.json("reroll", "hero")
    assert clone.json("build").counts() == {"unchanged": 1}
    assert len(emulator.ledger()["charges"]) == 1
