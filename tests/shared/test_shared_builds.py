"""Builds on machines that share nothing but a remote: what one has paid for, all of them have."""

from __future__ import annotations

from project_folder import ProjectFolder, Run

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 120x63, output: out/hero.png}
  icon: {prompt: an anchor, size: 64x64, output: out/icon.webp, derive: [{widths: [32], output: "out/icon-{{ width }}.png"}]}
"""


def warnings(run: Run) -> list[str]:
    return [event["message"] for event in run.events if event["event"] == "warning"]


def outputs(project: ProjectFolder) -> dict[str, bytes]:
    return {name: data for name, data in project.files().items() if name.startswith("out/")}


def test_another_machine_pays_nothing_and_derives_nothing(place, builder, emulator):
    first = builder("first", place, IMAGES)
    run = first.json("build")
    assert run.counts() == {"generated": 2, "submitted": 2}
    assert warnings(run) == []
    second = builder("second", place, IMAGES)
    plan = second.json("plan").summary
    assert (plan["generated"], plan["submitted"], plan["cost"]) == (0, 0, 0)
    run = second.json("build")
    assert run.counts() == {"restored": 2}
    assert outputs(second) == outputs(first)
    assert second.read("imgbuild.lock") == first.read("imgbuild.lock")
    assert len(emulator.ledger()["charges"]) == 2


def test_a_store_without_conditions_serves_and_is_told_of(rclone, builder, emulator):
    first = builder("first", rclone, IMAGES)
    run = first.json("build")
    assert run.counts() == {"generated": 2, "submitted": 2}
    [warning] = warnings(run)
    assert warning == (
        "the shared cache knows no conditional writes (If-None-Match): of builders that begin an image at the "
        "same moment, each may pay for it"
    )
    second = builder("second", rclone, IMAGES)
    run = second.json("build")
    assert (run.counts(), warnings(run), outputs(second)) == ({"restored": 2}, [], outputs(first))
    fresh = builder("fresh", rclone, IMAGES, of=first)
    assert fresh.json("build", "--locked", "--require-remote").counts() == {"restored": 2}
    assert len(emulator.ledger()["charges"]) == 2


def test_a_fresh_machine_restores_what_the_lock_names(place, builder, emulator):
    first = builder("first", place, IMAGES)
    first.json("build")
    emulator.reset()
    fresh = builder("fresh", place, IMAGES, of=first)
    assert fresh.json("build", "--locked", "--require-remote").counts() == {"restored": 2}
    assert outputs(fresh) == outputs(first)
    assert fresh.json("build", "--locked").counts() == {"unchanged": 2}
    assert emulator.ledger()["requests"] == {}


def test_offline_and_frozen_never_touch_it(any_place, builder):
    first = builder("first", any_place, IMAGES)
    first.json("build")
    fresh = builder("fresh", any_place, IMAGES, of=first)
    run = fresh.json("build", "--frozen", code=1)
    assert run.counts() == {"failed": 2}
    assert not (fresh.root / "out").exists()


def test_push_and_pull_move_what_one_side_lacks(any_place, builder, emulator):
    first = builder("first", any_place, IMAGES)
    first.json("build", "--offline", code=1)
    first.edit(f"cache: {{remote: '{any_place.address}'}}\n", "")
    first.json("build")
    first.manifest(
        first.read("imgbuild.yaml")
        .decode()
        .replace("images:", f"cache: {{remote: '{any_place.address}'}}\nimages:")
    )
    pushed = first.json("cache", "push").events[-1]
    assert pushed["kind"] == "push"
    assert pushed["value"]["results"] == 2
    assert pushed["value"]["files"] == 5
    assert first.json("cache", "push").events[-1]["value"]["files"] == 0

    second = builder("second", any_place, IMAGES, of=first)
    pulled = second.json("cache", "pull").events[-1]["value"]
    assert (pulled["files"], pulled["bytes"]) == (5, pushed["value"]["bytes"])
    assert second.json("cache", "pull").events[-1]["value"]["files"] == 0
    assert second.json("build", "--offline").counts() == {"restored": 2}
    assert outputs(second) == outputs(first)
    assert len(emulator.ledger()["charges"]) == 2


def test_push_of_one_target_leaves_the_others(folder, builder):
    first = builder("first", folder, IMAGES)
    first.edit(f"cache: {{remote: '{folder.address}'}}\n", "")
    first.json("build")
    first.manifest(
        first.read("imgbuild.yaml")
        .decode()
        .replace("images:", f"cache: {{remote: '{folder.address}'}}\nimages:")
    )
    assert first.json("cache", "push", "hero").events[-1]["value"]["results"] == 1


def test_push_without_a_remote_says_what_to_do(project):
    project.manifest("version: 1\nimages: {a: {prompt: x, output: a.png}}\n")
    run = project.run("cache", "push")
    assert (run.code, "remote" in run.err) == (2, True)


def test_restore_fetches_what_the_lock_names_also_with_a_broken_manifest(any_place, builder, emulator):
    first = builder("first", any_place, IMAGES)
    first.json("build")
    fresh = builder("fresh", any_place, IMAGES, of=first)
    fresh.edit("images:", "imagess:")
    assert fresh.json("restore").counts() == {"restored": 2}
    assert outputs(fresh) == outputs(first)
    assert fresh.json("restore").counts() == {"unchanged": 2}
