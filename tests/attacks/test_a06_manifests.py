"""A06: manifests, data files and templates that are bombs: an error at its place, within a second and 256 MiB."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attack_cases import sample
from bounded import Bounded
from project_folder import ProjectFolder

H = "version: 1\nimages:\n"


def items(kind: str, name: str) -> str:
    return f"{H}  a: {{foreach: {{{kind}: {name}}}, prompt: p, output: '{{{{ item.id }}}}.png'}}\n"


def prompt(text: str) -> str:
    return f"{H}  a:\n    output: a.png\n    prompt: >-\n      {text}\n"


def nested(depth: int, each: int) -> str:
    lines = ["x-0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * each)}]" for n in range(1, depth)]
    return "version: 1\n" + "\n".join(lines) + "\nimages: {}\n"


BOMBS: dict[str, tuple[str, dict[str, str], str]] = {
    "aliases": (nested(12, 9), {}, "imgbuild.yaml:"),
    "merged aliases": (nested(12, 9).replace("[", "{<<: [").replace("]", "]}"), {}, "imgbuild.yaml:"),
    "depth": ("a: " + "[" * 3000, {}, "imgbuild.yaml:1:"),
    "more depth": ("[" * 500_000, {}, "imgbuild.yaml:1:"),
    "deep blocks": ("".join(" " * n + f"k{n}:\n" for n in range(1500)), {}, "imgbuild.yaml:"),
    "a Python object": ("version: !!python/object/apply:os.system ['touch owned']\n", {}, "imgbuild.yaml:1:10"),
    "a Python name": ("version: !!python/name:os.system\n", {}, "imgbuild.yaml:1:10"),
    "duplicate keys": ("version: 1\nversion: 1\n", {}, "imgbuild.yaml:2:1"),
    "5,000 digits": ("version: " + "9" * 5000, {}, "imgbuild.yaml:1:10"),
    "500,000 digits": ("version: " + "9" * 500_000, {}, "imgbuild.yaml:1:10"),
    "10^12 images": (
        H + "  a: {prompt: p, output: '{{ a }}.png', matrix: {"
        + ", ".join(f"m{j}: [{', '.join(f'v{k}' for k in range(100))}]" for j in range(6)) + "}}\n",
        {},
        "imgbuild.yaml:3:",
    ),
    "a JSON file with a double name among 60,000": (
        items("json", "d.json"),
        {"d.json": "{" + ",".join(f'"k{n}":0' for n in range(60_000)) + ',"k59999":1}'},
        "d.json:1:",
    ),
    "a CSV header of 60,000 columns": (
        items("csv", "d.csv"),
        {"d.csv": ",".join(f"c{n}" for n in range(60_000)) + ",c1\n1\n"},
        "d.csv:1:",
    ),
    "a TOML key of 200,000 names": (items("toml", "d.toml"), {"d.toml": "a." * 200_000 + "x = 1"}, "d.toml:1:"),
    "a TOML key of quoted names": (items("toml", "d.toml"), {"d.toml": '"a" . ' * 100_000 + "x = 1"}, "d.toml:1:"),
    "TOML tables in tables": (items("toml", "d.toml"), {"d.toml": "[" + "a." * 50_000 + "a]\n"}, "d.toml:1:"),
    "brackets in JSON": (items("json", "d.json"), {"d.json": "[" * 500_000}, "d.json:1:"),
    "brackets in TOML": (items("toml", "d.toml"), {"d.toml": "a = " + "[" * 100_000}, "d.toml:1:"),
    "front matter without an end": (items("markdown", "a.md"), {"a.md": "---\n" + "a: b\n" * 100_000}, "a.md:1:"),
    "a pattern with many ways": (
        "version: 1\ninclude: ['" + "**/a/" * 7 + "*.imgbuild.yaml']\nimages: []\n",
        {"/".join("a" * 60) + "/x.yaml": ""},
        "imgbuild.yaml:3:",
    ),
    "a pattern of stars": (
        "version: 1\ninclude: ['" + "*a" * 60 + "b/x.yaml']\nimages: []\n",
        {"a" * 200 + "/x.yaml": ""},
        "imgbuild.yaml:3:",
    ),
    "text times a number": (prompt("{{ 'a' * 300000000 }}"), {}, "imgbuild.yaml:6:"),
    "a power": (prompt("{{ 9 ** 9 ** 9 ** 9 }}"), {}, "imgbuild.yaml:"),
    "padding": (prompt("{{ 'a'.center(300000000) }}"), {}, "imgbuild.yaml:"),
    "a format's width": (prompt("{{ '%300000000d' % 1 }}"), {}, "imgbuild.yaml:"),
    "format": (prompt("{{ '{0:300000000}'.format(1) }}"), {}, "imgbuild.yaml:"),
    "lorem ipsum": (prompt("{{ lipsum(n=100000) }}"), {}, "imgbuild.yaml:"),
    "range": (prompt("{{ range(99999999) | list }}"), {}, "imgbuild.yaml:"),
    "loops in loops": (prompt("{% for a in 'xxxxxxxxxxxxxxxxxxxx' %}" * 12 + "x" + "{% endfor %}" * 12), {}, "imgbuild.yaml:"),
    "doubling": (prompt("{% set a = 'aaaaaaaa' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}"), {}, "imgbuild.yaml:"),
    "a file that includes itself": (prompt("{% include 'p.j2' %}"), {"p.j2": "x{% include 'p.j2' %}"}, "p.j2:"),
    "classes": (prompt("{{ ''.__class__.__mro__[1].__subclasses__() }}"), {}, "imgbuild.yaml:"),
    "globals": (prompt("{{ id.upper.__globals__ }}"), {}, "imgbuild.yaml:"),
    "attr": (prompt("{{ '' | attr('__class__') }}"), {}, "imgbuild.yaml:"),
    "cycler": (prompt("{{ cycler.__init__.__globals__.os.popen('touch owned') }}"), {}, "imgbuild.yaml:"),
    "dots": (prompt("{{ id" + ".id" * 200 + " }}"), {}, "imgbuild.yaml:"),
    "plus": (prompt("{{ " + "1+" * 20_000 + "1 }}"), {}, "imgbuild.yaml:"),
    "a million bytes of comment": (prompt("{# " * 250_000), {}, "imgbuild.yaml:"),
}  # fmt: skip


@pytest.mark.parametrize("name", sample(BOMBS, 4))
def test_a_bomb_is_an_error_at_its_place_within_bounds(
    project: ProjectFolder, bounded: Callable[..., Bounded], name: str
) -> None:
    text, files, place = BOMBS[name]
    project.manifest(text)
    for file, content in files.items():
        project.write(file, content)
    run = bounded("check", seconds=4)
    assert run.code == 2, run.out[:500] + run.err[:500]
    assert place in run.err
    assert "Traceback" not in run.err
    assert run.megabytes < 256
    assert not (project.root / "owned").exists()


def test_an_included_file_reaches_nothing_outside(project: ProjectFolder) -> None:
    (project.root.parent / "outside.imgbuild.yaml").write_text(
        "images: {b: {prompt: canary, output: b.png}}\n"
    )
    project.manifest('version: 1\ninclude: ["art/*.imgbuild.yaml"]\nimages: {}\n')
    for line in (
        'include: ["../../*.imgbuild.yaml"]',
        "images: {a: {prompt_file: ../../outside.imgbuild.yaml, output: a.png}}",
    ):
        project.write("art/a.imgbuild.yaml", line + "\n")
        run = project.run("check")
        assert run.code == 2, run.out
        assert "canary" not in run.err + run.out


@pytest.mark.parametrize("name", ["HOME", "STUDIO_KEY", "PATH"])
def test_no_variable_of_the_environment_reaches_a_prompt(project: ProjectFolder, name: str) -> None:
    project.manifest(f"{H}  a: {{prompt: 'x ${{{name}}} y', size: 8x8, output: a.png, alt: '${name}'}}\n")
    run = project.run("plan", "--output-format", "json")
    assert run.code == 0
    assert project.environ[name] not in run.out
