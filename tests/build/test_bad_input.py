"""Bad input of every kind: one clear error and exit 2; nothing sent, nothing written."""

from __future__ import annotations

import json

import pytest
from project_folder import STUDIO, ProjectFolder

GOOD = "images:\n  hero: {prompt: a lighthouse, size: 64x64, output: out/hero.png}\n"

FILES: dict[str, tuple[dict[str, str], str]] = {
    "manifest is no YAML": ({"imgbuild.yaml": "version: 1\nimages: {a: [}\n"}, "imgbuild.yaml:2:14: "),
    "manifest is empty": ({"imgbuild.yaml": ""}, "imgbuild.yaml:1:1: "),
    "manifest of another version": ({"imgbuild.yaml": "version: 2\nimages: {}\n"}, "imgbuild.yaml:1:10: "),
    "a lock that is no JSON": ({"imgbuild.lock": "{"}, "imgbuild.lock:1:2: "),
    "a lock with conflict markers": ({"imgbuild.lock": "<<<<<<< HEAD\n"}, "imgbuild.lock:1:1: "),
    "a lock of a newer version": ({"imgbuild.lock": '{"images": {}, "version": 9}'}, "imgbuild.lock: "),
    "an empty lock": ({"imgbuild.lock": ""}, "imgbuild.lock:"),
    "a broken CSV": (
        {
            "more.imgbuild.yaml": "images:\n  x:\n    foreach: {csv: d.csv}\n    prompt: p\n    output: '{{ item.id }}.png'\n",
            "d.csv": "id,name\na,b,c\n",
        },
        "d.csv:2:",
    ),
    "a broken JSON": (
        {
            "more.imgbuild.yaml": "images:\n  x:\n    foreach: {json: d.json}\n    prompt: p\n    output: '{{ item.id }}.png'\n",
            "d.json": '[{"id": 1},]',
        },
        "d.json:1:",
    ),
    "broken front matter": (
        {
            "more.imgbuild.yaml": "images:\n  x:\n    foreach: {markdown: '*.md'}\n    prompt: p\n    output: '{{ item.slug }}.png'\n",
            "a.md": "---\ntitle: [\n---\n",
        },
        "a.md:",
    ),
    "a missing data file": (
        {
            "more.imgbuild.yaml": "images:\n  x:\n    foreach: {csv: no.csv}\n    prompt: p\n    output: '{{ item.id }}.png'\n"
        },
        "more.imgbuild.yaml:3:20: ",
    ),
    "a missing reference": (
        {"more.imgbuild.yaml": "images:\n  x: {prompt: p, output: x.png, references: [no.png]}\n"},
        "more.imgbuild.yaml:2:46: ",
    ),
    "a reference outside": (
        {"more.imgbuild.yaml": "images:\n  x: {prompt: p, output: x.png, references: [../home/.ssh/id]}\n"},
        "more.imgbuild.yaml:2:46: ",
    ),
    "an undefined variable": (
        {"more.imgbuild.yaml": "images:\n  x:\n    prompt: a {{ colour }}\n    output: x.png\n"},
        "more.imgbuild.yaml:3:18: ",
    ),
    "a template error in a prompt file": (
        {
            "more.imgbuild.yaml": "images:\n  x: {prompt_file: p.j2, output: x.png}\n",
            "p.j2": "one\ntwo {% if %}\n",
        },
        "p.j2:2:",
    ),
    "an unsupported quality": (
        {"more.imgbuild.yaml": "images:\n  x: {prompt: p, quality: ultra, output: x.png}\n"},
        "more.imgbuild.yaml:2:27: ",
    ),
    "a model that does not exist": (
        {"more.imgbuild.yaml": "images:\n  x: {prompt: p, model: gpt-image-3, output: x.png}\n"},
        "more.imgbuild.yaml:2:25: ",
    ),
    "an output of no known format": (
        {"more.imgbuild.yaml": "images:\n  x: {prompt: p, output: x.bmp}\n"},
        "more.imgbuild.yaml:2:26: ",
    ),
    "transparency in a JPEG": (
        {
            "more.imgbuild.yaml": "images:\n  x: {prompt: p, provider: placeholder, background: transparent, output: x.jpg}\n"
        },
        "more.imgbuild.yaml:2:53: ",
    ),
}


@pytest.mark.parametrize("verb", ["build", "plan"])
@pytest.mark.parametrize("case", FILES)
def test_a_bad_file(project: ProjectFolder, emulator, case: str, verb: str):
    files, words = FILES[case]
    project.manifest(STUDIO.format(url=emulator.url) + 'include: ["more.imgbuild.yaml"]\n' + GOOD)
    project.write("more.imgbuild.yaml", "images: {}\n")
    for name, text in files.items():
        project.write(name, text)
    before = project.files()
    run = project.run(verb)
    assert run.code == 2, run.out + run.err
    assert words in run.err
    assert run.out == ""
    assert project.files() == before
    assert emulator.ledger()["charges"] == []


def test_every_error_of_a_run_is_reported_in_json_with_its_place(project: ProjectFolder):
    project.manifest(
        "version: 1\nimages:\n  a: {promt: x, output: a.png}\n  b: {prompt: '{{ nope }}', output: ../b.png}\n"
    )
    run = project.run("check", "--output-format", "json")
    events = [json.loads(line) for line in run.out.splitlines()]
    assert run.code == 2
    assert [e["event"] for e in events[:2]] == ["version", "error"]
    places = {(e["line"], e["column"]) for e in events[1:]}
    assert places == {(3, 3), (3, 7), (4, 19), (4, 37)}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["biuld"], "build"),
        (["build", "--overwite"], "--overwrite"),
        (["build", "heor"], "hero"),
        (["build", "tag:none"], "tag:none"),
        (["build", "-j", "0"], "-j"),
        (["build", "--max-cost", "nan"], "--max-cost"),
        (["build", "--profile", "nope"], "nope"),
        (["show", "nothing"], "nothing"),
        (["-C", "nowhere", "build"], "nowhere"),
        (["-f", "nothing.yaml", "build"], "nothing.yaml"),
        (["build", "--locked", "--generate"], "--generate"),
        ([], "command"),
    ],
)
def test_a_bad_argument(project: ProjectFolder, words: list[str], hint: str):
    project.manifest("version: 1\n" + GOOD)
    before = project.files()
    run = project.run(*words)
    assert run.code == 2
    assert hint in run.err
    assert project.files() == before
