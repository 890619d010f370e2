"""Images that ask for the same picture share what comes of it, also when that is nothing."""

from __future__ import annotations

from project_folder import STUDIO, ProjectFolder


def test_two_images_of_one_generation_fail_for_the_same_reason(project: ProjectFolder, emulator):
    images = "".join(
        f"  {id}: {{prompt: 'a cat [fault:refuse]', size: 64x64, output: out/{id}.png}}\n" for id in "ab"
    )
    project.manifest(STUDIO.format(url=emulator.url) + "images:\n" + images)
    run = project.json("build", code=1)
    errors = [e["error"] for e in run.events if e["event"] == "image"]
    assert {error["kind"] for error in errors} == {"refused"}
    assert errors[0] == errors[1]
    assert "content policy" in errors[0]["message"]
    assert len(emulator.ledger()["charges"]) == 1
