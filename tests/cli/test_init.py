"""`imgbuild init`: every template builds at once, offline."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(("template", "images"), [("blank", 1), ("site", 4), ("game", 7)])
def test_a_first_manifest_builds_offline(imgbuild, template, images):
    done = imgbuild("init", "--template", template)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("wrote imgbuild.yaml")
    text = (imgbuild.root / "imgbuild.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=./imgbuild.schema.json\n")
    assert json.loads((imgbuild.root / "imgbuild.schema.json").read_text())
    done = imgbuild("build", "--offline")
    assert (done.returncode, done.stdout.split(" in ")[0]) == (0, f"{images} generated")
    assert imgbuild("plan", "--exit-code").returncode == 0


def test_a_new_folder_is_made(imgbuild):
    done = imgbuild("init", "a/site")
    assert done.returncode == 0
    assert 'imgbuild -C "a/site" build' in done.stdout
    assert imgbuild("-C", "a/site", "check").stdout == "1 image, no errors\n"


def test_over_a_manifest_nothing_is_changed(project):
    before = (project.root / "imgbuild.yaml").read_bytes()
    done = project("init")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: imgbuild.yaml is there already; nothing was changed\n"
    assert (project.root / "imgbuild.yaml").read_bytes() == before
    assert [path.name for path in project.root.iterdir()] == ["imgbuild.yaml"]


def test_a_file_in_the_way_is_one_line(imgbuild):
    imgbuild.write("x", "site")
    done = imgbuild("init", "site")
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1
    assert "site" in done.stderr
