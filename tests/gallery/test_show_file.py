"""`imgbuild show FILE`: where a file comes from, wherever it lies."""

from __future__ import annotations

import pytest
from painted import painted
from project_folder import STUDIO, ProjectFolder

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 64x64, output: out/hero.png}
"""


@pytest.fixture
def built(project: ProjectFolder, emulator) -> ProjectFolder:
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.json("build")
    return project


def origin(project: ProjectFolder, path: str, **environ: str) -> dict:
    [event] = [e for e in project.json("show", path, **environ).events if e["event"] == "data"]
    assert event["kind"] == "file_origin"
    return event["value"]


def test_a_copy_of_an_output_is_known_by_its_bytes(built: ProjectFolder, tmp_path):
    (tmp_path / "copy.png").write_bytes(built.read("out/hero.png"))
    found = origin(built, "../copy.png")
    assert (found["known"], found["image_id"], found["output"]) == ("lock", "hero", "out/hero.png")
    assert (found["prompt"], found["model"], found["provider"]) == ("a lighthouse", "gpt-image-2", "uniall")
    assert found["key"] == built.lock["images"]["hero"]["key"]
    out = built.run("show", "../copy.png").out
    assert "a lighthouse" in out
    assert "the accepted file out/hero.png" in out


def test_an_output_that_was_replaced_is_known_from_the_records(built: ProjectFolder, tmp_path):
    (tmp_path / "old.png").write_bytes(built.read("out/hero.png"))
    built.edit("a lighthouse", "a windmill")
    built.json("build")
    found = origin(built, "../old.png")
    assert (found["known"], found["prompt"], found["output"]) == ("output", "a lighthouse", None)


def test_a_master_is_known_and_no_manifest_is_needed(built: ProjectFolder, new_project, tmp_path):
    digest = built.lock["images"]["hero"]["source"]["digest"]
    master = tmp_path / "cache/blobs" / digest[:2] / digest
    (tmp_path / "master.png").write_bytes(master.read_bytes())
    elsewhere = new_project("elsewhere")
    found = origin(elsewhere, "../master.png")
    assert (found["known"], found["prompt"], found["cost"]) == ("result", "a lighthouse", 0.01)


def test_a_file_on_another_machine_is_known_by_its_metadata(built: ProjectFolder, new_project, tmp_path):
    built.edit("prompt: a lighthouse", "embed_prompt: true, prompt: a lighthouse")
    built.json("build")
    (tmp_path / "sent.png").write_bytes(built.read("out/hero.png"))
    found = origin(new_project("elsewhere", "empty"), "../sent.png")
    assert (found["known"], found["prompt"], found["model"]) == ("metadata", "a lighthouse", "gpt-image-2")
    assert found["image_id"] is None


def test_an_adopted_file_is_a_persons(built: ProjectFolder, tmp_path):
    (tmp_path / "mine.png").write_bytes(painted(64, 64))
    built.json("adopt", "hero", "../mine.png")
    found = origin(built, "../mine.png")
    assert (found["adopted"], found["provider"], found["prompt"]) == (True, "adopted", None)
    assert "a file of a person's" in built.run("show", "../mine.png").out


def test_an_output_of_the_manifest_is_shown_as_its_image(built: ProjectFolder):
    assert built.run("show", "out/hero.png").out.startswith("hero\n")


@pytest.mark.parametrize(
    ("name", "content"), [("mine.png", painted(9, 9)), ("notes.txt", b"hello"), ("empty", b"")]
)
def test_an_unknown_file_is_one_line_and_exit_1(built: ProjectFolder, name: str, content: bytes):
    built.write(name, content)
    run = built.run("show", name)
    assert (run.code, run.out) == (1, "")
    assert f"nothing is known about {name}" in run.err
    assert len(run.err.splitlines()) <= 2


def test_neither_image_nor_file_is_a_usage_error(built: ProjectFolder, new_project):
    assert built.run("show", "herro").code == 2
    run = new_project("elsewhere").run("show", "herro.png")
    assert (run.code, "there is no imgbuild.yaml" in run.err) == (2, True)
