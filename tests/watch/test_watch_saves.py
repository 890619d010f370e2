"""A save leads to a round for exactly what it concerns, however the editor saves; all else leads to none."""

from __future__ import annotations

import os
import time

from project_folder import STUDIO

CARDS = """\
version: 1
images:
  hero: {prompt: a harbour, size: 64x64, output: out/hero.png}
  icon: {prompt: a lighthouse, size: 32x32, output: out/icon.png}
"""


def test_a_save_builds_what_it_concerns_and_nothing_else(project, emulator, watch):
    images = "images:\n" + "".join(
        f"  i{n}: {{prompt: thing {n}, size: 64x64, output: out/{n}.png}}\n" for n in range(4)
    )
    project.manifest(STUDIO.format(url=emulator.url) + images)
    session = watch(project)
    assert session.round() == {"generated": 4, "submitted": 4}
    before = project.stamps()
    project.edit("thing 2", "another thing")
    assert session.round() == {"generated": 1, "submitted": 1}
    changed = {name for name, stamp in project.stamps().items() if before[name] != stamp}
    assert changed == {"imgbuild.yaml", "imgbuild.lock", "out/2.png"}
    project.edit("another thing", "thing 2")
    assert session.round() == {"restored": 1}
    assert len(emulator.ledger()["charges"]) == 5
    assert session.stop() == 130
    assert project.json("build").counts() == {"unchanged": 4}


def test_what_it_writes_itself_leads_to_no_round_and_neither_does_a_file_that_stays_the_same(project, watch):
    project.manifest(CARDS)
    session = watch(project)
    assert session.round() == {"generated": 2}
    session.calm()
    os.utime(project.root / "imgbuild.yaml")
    os.utime(project.root / "out/hero.png")
    project.write("imgbuild.yaml", CARDS)
    project.write("out/hero.png", project.read("out/hero.png"))
    project.write("notes.txt", "nothing that decides")
    project.write("out/other.png", b"nothing that decides")
    project.write(".imgbuild/something", "")
    session.calm()
    assert len(session.summaries()) == 1


def test_an_output_comes_back_and_one_that_was_changed_by_hand_is_left_alone(project, watch):
    project.manifest(CARDS)
    session = watch(project)
    session.round()
    picture = project.read("out/icon.png")
    (project.root / "out/icon.png").unlink()
    assert session.round() == {"restored": 1}
    assert project.read("out/icon.png") == picture
    project.write("out/icon.png", b"retouched")
    assert session.round() == {"conflicts": 1}
    project.edit("harbour", "port")
    assert session.round() == {"generated": 1, "conflicts": 1}
    assert project.read("out/icon.png") == b"retouched"
    project.write("out/icon.png", picture)
    assert session.round() == {}


DECIDING = """\
version: 1
include: ["art/**/*.imgbuild.yaml"]
images:
  prompted: {prompt_file: prompts/one.j2, size: 32x32, output: out/prompted.png}
  rows:
    foreach: {csv: data/rows.csv, as: row}
    prompt: "{{ row.words }}"
    size: 32x32
    output: out/rows/{{ row.id }}.png
  posts:
    foreach: {markdown: "content/**/*.md", as: post}
    prompt: "{{ post.title }}"
    size: 32x32
    output: out/posts/{{ post.slug }}.png
"""


def test_every_file_that_decides_is_watched_also_those_that_are_not_there_yet(project, watch):
    project.manifest(DECIDING)
    project.write("prompts/one.j2", '{% include "prompts/style.j2" %}, a gate')
    project.write("prompts/style.j2", "flat")
    project.write("data/rows.csv", "id,words\na,first\nb,second\n")
    project.write("content/2026/hello.md", "---\ntitle: hello\n---\nbody\n")
    session = watch(project)
    assert session.round() == {"generated": 4}
    for name, text in (
        ("prompts/style.j2", "round"),
        ("prompts/one.j2", "a gate"),
        ("data/rows.csv", "id,words\na,first\nb,second\nc,third\n"),
        ("content/2026/hello.md", "---\ntitle: good day\n---\nbody\n"),
        ("content/2026/more.md", "---\ntitle: more\n---\n"),
        ("content/2027/new/folder.md", "---\ntitle: a new folder\n---\n"),
        ("art/deep/x.imgbuild.yaml", "images: {x: {prompt: an x, size: 32x32, output: x.png}}\n"),
        ("art/deep/x.imgbuild.yaml", "images: {x: {prompt: a y, size: 32x32, output: x.png}}\n"),
    ):
        project.write(name, text)
        assert session.round() == {"generated": 1}, name
    (project.root / "content/2026/more.md").unlink()
    assert session.round() == {}
    assert len(project.lock["images"]) == 7
    assert session.errors() == []


def test_references_are_watched(project, emulator, watch):
    project.manifest(CARDS)
    project.json("build")
    reference, other = project.read("out/hero.png"), project.read("out/icon.png")
    project.write("refs/style.png", reference)
    project.manifest(
        STUDIO.format(url=emulator.url)
        + "images: {hero: {prompt: a harbour, size: 64x64, output: out/hero.png, references: [refs/style.png]}}\n"
    )
    session = watch(project)
    assert session.round() == {"generated": 1, "submitted": 1}
    project.write("refs/style.png", other)
    assert session.round() == {"generated": 1, "submitted": 1}
    project.write("refs/style.png", reference)
    assert session.round() == {"restored": 1}


def test_an_editor_may_save_in_any_way(project, watch):
    path = project.root / "imgbuild.yaml"
    project.manifest(CARDS)
    session = watch(project)
    assert session.round() == {"generated": 2}

    project.write("imgbuild.yaml~", CARDS)
    project.write(".imgbuild.yaml.swp", "swap")
    project.write("4913", "")
    (project.root / "4913").unlink()
    temporary = project.write("imgbuild.yaml.tmp", CARDS.replace("harbour", "renamed over"))
    temporary.replace(path)
    assert session.round() == {"generated": 1}

    path.unlink()
    until_absent = time.monotonic() + 0.15
    while time.monotonic() < until_absent:
        assert not path.exists()
    project.manifest(CARDS.replace("harbour", "deleted and made"))
    assert session.round() == {"generated": 1}

    path.rename(project.root / "imgbuild.yaml.bak")
    project.manifest(CARDS.replace("harbour", "backed up"))
    assert session.round() == {"generated": 1}
    assert session.errors() == []


def test_a_burst_of_saves_is_a_few_rounds_and_the_last_one_counts(project, watch):
    project.manifest(CARDS)
    session = watch(project)
    session.round()
    for number in range(100):
        project.manifest(CARDS.replace("harbour", f"harbour {number}"))
    session.calm()
    assert len(session.summaries()) < 20
    assert session.errors() == []
    assert project.json("plan").counts() == {"unchanged": 2}


def test_a_broken_manifest_says_what_check_says_and_mending_it_goes_on(project, watch):
    project.manifest(CARDS)
    session = watch(project)
    session.round()
    project.edit("size: 64x64", "sice: 64x64")
    session.until(session.errors)
    said = [event for event in session.events if event["event"] == "error"]
    assert said == project.json("check", code=2).events[1:]
    project.edit("sice: 64x64, output", "size: 64x64, alt: mended, output")
    session.round()
    assert session.errors() == [event["message"] for event in said]


def test_a_session_may_begin_with_a_broken_manifest(project, watch):
    project.manifest("version: 1\nimages: [\n")
    session = watch(project)
    session.until(session.errors)
    project.manifest(CARDS)
    assert session.round() == {"generated": 2}


def test_a_broken_lock_is_never_taken_for_an_empty_one(project, watch):
    project.manifest(CARDS)
    session = watch(project)
    session.round()
    lock = project.read("imgbuild.lock")
    project.write("imgbuild.lock", b"<<<<<<< ours\n" + lock)
    session.until(session.errors)
    project.edit("harbour", "port")
    session.until(lambda: len(session.errors()) > 1)
    assert project.read("imgbuild.lock") == b"<<<<<<< ours\n" + lock
    project.write("imgbuild.lock", lock)
    assert session.round() == {"generated": 1}


def test_tables_and_atlases_follow_their_images_and_lead_to_no_round_themselves(project, watch):
    project.manifest(
        CARDS
        + "assets: out/images.json\n"
        + "atlases: {all: {images: '*', output: out/all.png, data: out/all.json, format: texturepacker-hash}}\n"
    )
    session = watch(project)
    assert session.round() == {"generated": 2, "derived": 2}
    session.calm()
    project.edit("a harbour,", "a harbour, alt: A harbour,")
    assert session.round() == {"derived": 1}
    assert b"A harbour" in project.read("out/images.json")
    project.edit("a lighthouse", "a beacon")
    assert session.round() == {"generated": 1, "derived": 2}
    (project.root / "out/all.png").unlink()
    assert session.round() == {"derived": 1}
    session.calm()
    assert len(session.summaries()) == 4
    assert session.stop() == 130
    assert project.json("build").counts() == {"unchanged": 2}
