"""Every kind of mistake is named at its line and column, all in one run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbench import Workbench

from imgbuild.core.errors import ManifestError, UsageError
from imgbuild.core.manifest.load import load_project
from imgbuild.run.files import DiskFiles

HEAD = "version: 1\nimages:\n"


@pytest.mark.parametrize(
    ("text", "place", "words", "hint"),
    [
        ("", "1:1", "empty", "version: 1"),
        ("[a]", "1:1", "must be a mapping", None),
        ("images: {}\n", "1:1", '"version" is missing', None),
        ("version: 2\n", "1:10", "version: must be 1, not 2", None),
        ("version: 1\nimagse: {}\n", "2:1", 'unknown key "imagse"', 'did you mean "images"?'),
        (HEAD + "  a: {prompt: x, output: a.png, qualty: low}\n", "3:33", 'unknown key "qualty"', '"quality"'),
        (HEAD + "  a: {prompt: x, output: a.png, prompt: y}\n", "3:33", 'duplicate key "prompt"', None),
        (HEAD + "  a: {prompt: x, output: a.png, background: no}\n", "3:45", '"no" is not one of', None),
        (HEAD + "  a: {prompt: x, output: a.png, alt: 5}\n", "3:38", "must be text, not a number", "quotes"),
        (HEAD + "  a: {prompt: x, output: a.png, size: 10}\n", "3:39", "must be text", "quotes"),
        (HEAD + "  a: {prompt: x, output: a.png, size: 10*10}\n", "3:39", "WIDTHxHEIGHT", None),
        (HEAD + "  a: {prompt: x, output: a.png, ratio: 16/9}\n", "3:40", "is no ratio", None),
        (HEAD + "  a: {prompt: x, output: a.png, resolution: 3k}\n", "3:45", "0.5k, 1k, 2k, 4k, 8k", None),
        (HEAD + "  a: {prompt: x, output: a.png, fit: crop}\n", "3:38", "cover, contain, fill, exact", None),
        (HEAD + "  a: {prompt: x, output: a.png, seed: 1.5}\n", "3:39", "whole number", None),
        (HEAD + "  a: {prompt: x, output: a.png, takes: 0}\n", "3:40", "takes", None),
        (HEAD + "  a: {prompt: x, output: a.png, tags: x}\n", "3:39", "must be a list, not text", None),
        (HEAD + "  a: {prompt: x, output: a.png, upscale: yes}\n", "3:42", "true or false, not text", None),
        (HEAD + "  a: {prompt: x, output: a.png, params: {a: .nan}}\n", "3:45", "not finite", None),
        (HEAD + "  a: {prompt: x, output: a.gif}\n", "3:26", "must end in .png", None),
        (HEAD + "  a: {prompt: x}\n", "3:3", "the image has no output", "`output`"),
        (HEAD + "  a: {output: a.png}\n", "3:3", "the image has no prompt", "`prompt_file`"),
        (HEAD + "  a: {prompt: ' ', output: a.png}\n", "3:15", "prompt: is empty", None),
        (HEAD + "  a: {prompt: '{{ \"\" }}', output: a.png}\n", "3:15", "prompt: is empty", None),
        (HEAD + "  a: {prompt: x, prompt_file: p, output: a.png}\n", "3:31", "together", "remove"),
        (HEAD + "  'a b': {prompt: x, output: a.png}\n", "3:3", "cannot be a name", None),
        (HEAD + "  a: {prompt: x, output: a.png, provider: p}\n", "3:43", 'no provider "p"', None),
        (HEAD + "  a: {prompt: x, output: a.png, extends: p}\n", "3:42", 'no preset "p"', "no presets"),
        (HEAD + "  a: {prompt: x, output: a.png, mask: m.png}\n", "3:39", '"m.png" does not exist', None),
        (HEAD + "  a: {prompt: x, output: a.png, references: [r.png]}\n", "3:46", "does not exist", None),
        (HEAD + "  a: {prompt: x, output: a.png, references: ['ftp://h/x']}\n", "3:46", "neither", None),
        (HEAD + "  a: {prompt: x, output: a.png, references: ['{{ b']}\n", "3:50", "template", None),
        (HEAD + "  a: {prompt: x, output: a.png, references: ['@b']}\n", "3:46", 'no image "b"', None),
        (HEAD + "  a: {prompt: x, output: a.png, size: 100x100, ratio: 16:9}\n", "3:39", "contradicts", None),
        (HEAD + "  a: {prompt: '{{ item }}', output: a.png}\n", "3:19", '"item" is undefined', "name"),
        (HEAD + "  a:\n    prompt: |\n      é\n      {{ styl }}\n    output: a.png\nvars: {style: s}\n",
         "6:10", '"styl" is undefined', 'did you mean "style"?'),
        (HEAD + "  a: {prompt: '{{ if }', output: a.png}\n", "3:22", "template", None),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {}}\n", "3:41", "no axis", None),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {b: []}}\n", "3:45", "no values", None),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {b: x}}\n", "3:45", "an axis is a list", None),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {b: [x, x]}}\n", "3:49", "stands twice", None),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {b: [x], exclude: [{c: x}]}}\n",
         "3:61", 'no axis "c"', None),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {b: [x], exclude: [{b: y}]}}\n",
         "3:64", 'the axis b has no "y"', None),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {b: [x], c: [y], include: [{b: z}]}}\n",
         "3:68", "lacks c", None),
        (HEAD + "  a: {prompt: x, output: a.png, foreach: {as: b}}\n", "3:42", "names no source", None),
        (HEAD + "  a: {prompt: x, output: a.png, foreach: {csv: d.csv}}\n", "3:48", "does not exist", None),
        (HEAD + "  a: {prompt: x, output: a.png, foreach: {items: [x, y, x]}}\n", "3:57", "second item", None),
        (HEAD + "  a: {prompt: x, output: a.png, foreach: {items: [{t: 1}]}}\n", "3:51", "no id", "`slug`"),
        (HEAD + "  a: {prompt: x, output: a.png, matrix: {b: [x]}, foreach: {items: [x]}}\n",
         "3:60", "together", None),
        ("version: 1\nproviders: {p: {type: openai, timeout: 5}}\n", "2:40", "its unit", None),
        ("version: 1\nproviders: {p: {type: openai, rate: 60}}\n", "2:37", "60/min", None),
        ("version: 1\nproviders: {p: {type: openai, poll_interval: 10ms}}\n", "2:46", "at least 0.05", None),
        ("version: 1\nproviders: {p: {}}\n", "2:16", '"type" is missing', None),
        ("version: 1\nproviders: {p: {type: x, base_url: 'ftp://h'}}\n", "2:36", "https://", None),
        ("version: 1\ninclude: [../x.yaml]\n", "2:11", "leads out of the project", None),
        ("version: 1\ninclude: [x.yaml]\n", "2:11", "does not exist", None),
        ("version: 1\nassets: ../x.json\n", "2:9", "leads out of the project", None),
        ("version: 1\nvars: {a: '{{ b'}\n", "2:15", "template", None),
    ],
)  # fmt: skip
def test_mistakes(bench: Workbench, text: str, place: str, words: str, hint: str | None) -> None:
    error = bench.error(text)
    assert str(error.position) == f"imgbuild.yaml:{place}", error.message
    assert words in error.message
    assert hint is None or hint in (error.hint or "")
    assert error.source_line is not None


def test_all_errors_come_in_one_run_in_their_order(bench: Workbench) -> None:
    found = bench.errors(
        HEAD + "  a: {prompt: '{{ x }}', output: ../a.png, qualty: 1}\n  b: {}\nx: 1\n",
    )
    places = [str(d.position).removeprefix("imgbuild.yaml:") for d in found]
    assert places == ["3:19", "3:34", "3:44", "4:3", "4:3", "5:1"]


@pytest.mark.parametrize(
    "path",
    [
        "../a.png", "a/../../b.png", "/etc/a.png", "C:/a.png", "C:a.png", "a\\b.png", "a\0b.png", "a\nb.png",
        ".git/hooks/a.png", ".GIT/a.png", "x/.git/a.png", ".g\u200cit/a.png", "git~1/a.png", "a/", ".",
        ".imgbuild/a.png", "nul.png", "CON", "lpt1.webp", "a./b.png", "a /b.png", "a.png ." , ".env", "a?.png",
        "imgbuild.yaml", "IMGBUILD.yaml", "imgbuild.lock", "imgbuild.draft.lock", "Imgbuild.Lock", "x" * 300 + ".png",
    ],
)  # fmt: skip
def test_outputs_stay_where_they_may(bench: Workbench, path: str) -> None:
    import json

    error = bench.error(HEAD + f"  a: {{prompt: x, output: {json.dumps(path)}}}\n")
    assert str(error.position) == "imgbuild.yaml:3:26"


def test_a_symlinked_folder_that_leads_out(
    bench: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "key").write_text("secret")
    (bench.root / "link").symlink_to(outside)
    (bench.root / "file").symlink_to(outside / "key")
    assert "symbolic link" in bench.error(HEAD + "  a: {prompt: x, output: link/a.png}\n").message
    assert "symbolic link" in bench.error(HEAD + "  a: {prompt_file: link/key, output: a.png}\n").message
    assert "symbolic link" in bench.error(HEAD + "  a: {prompt: x, mask: file, output: a.png}\n").message
    assert "secret" not in bench.error(HEAD + "  a: {prompt_file: file, output: a.png}\n").message


def test_a_pipe_is_no_prompt(bench: Workbench) -> None:
    os.mkfifo(bench.root / "p")
    assert "no regular file" in bench.error(HEAD + "  a: {prompt_file: p, output: a.png}\n").message


@pytest.mark.parametrize("other", ["a.png", "A.png", "x/../a.png", "a\u0308.png"])
def test_two_images_on_one_path_name_both_places(bench: Workbench, other: str) -> None:
    first = "ä.png" if "\u0308" in other else "a.png"
    error = bench.error(HEAD + f"  a: {{prompt: x, output: {first}}}\n  b: {{prompt: x, output: {other}}}\n")
    assert str(error.position) == "imgbuild.yaml:4:26"
    assert "imgbuild.yaml:3:26" in error.message
    assert '"a"' in error.message
    assert '"b"' in error.message


def test_a_file_that_is_anothers_folder(bench: Workbench) -> None:
    error = bench.error(HEAD + "  a: {prompt: x, output: a.png}\n  b: {prompt: x, output: a.png/b.png}\n")
    assert str(error.position) == "imgbuild.yaml:4:26"


def test_an_atlas_over_an_image(bench: Workbench) -> None:
    text = HEAD + "  a: {prompt: x, output: a.png}\natlases: {i: {images: a, output: A.png, data: i.json}}\n"
    assert str(bench.error(text).position) == "imgbuild.yaml:4:34"


def test_a_reference_cycle_names_both_places(bench: Workbench) -> None:
    error = bench.error(
        HEAD
        + "  b: {prompt: x, output: b.png, references: ['@a']}\n"
        + "  a: {prompt: x, output: a.png, references: ['@b']}\n"
    )
    assert "a -> b -> a" in error.message
    assert str(error.position) == "imgbuild.yaml:4:46"
    assert "imgbuild.yaml:3:46" in error.message


def test_a_reference_to_a_family(bench: Workbench) -> None:
    matrix = "  m: {prompt: x, output: '{{ i }}.png', matrix: {i: [p, q]}}\n"
    error = bench.error(HEAD + matrix + "  a: {prompt: x, output: a.png, references: ['@m']}\n")
    assert error.hint == "name one of them, such as @m[i=p]"
    error = bench.error(HEAD + matrix + "  a: {prompt: x, output: a.png, references: ['@m[i=r]']}\n")
    assert "did you mean" in (error.hint or "")


def test_a_reference_to_a_disabled_image(bench: Workbench) -> None:
    error = bench.error(
        HEAD
        + "  a: {prompt: x, output: a.png, references: ['@b']}\n"
        + "  b: {prompt: x, output: b.png, enabled: false}\n"
    )
    assert "disabled" in error.message


def test_a_presets_mistake_is_reported_once_at_the_preset(bench: Workbench) -> None:
    error = bench.error(
        "version: 1\npresets:\n  p: {prompt: '{{ i }} {{ nope }}'}\nimages:\n"
        "  a: {extends: p, matrix: {i: [1, 2, 3]}, output: 'a{{ i }}.png'}\n"
        "  b: {extends: p, vars: {i: 0}, output: b.png}\n"
    )
    assert str(error.position) == "imgbuild.yaml:3:27"
    assert error.chain == ("preset p", "image a", "i=1")


def test_a_prompt_files_mistake_is_in_the_file(bench: Workbench) -> None:
    error = bench.error(
        HEAD + "  a: {prompt_file: p/a.j2, output: a.png}\nvars: {style: s}\n",
        {"p/a.j2": "one\r\ntwo {{ styl }}\r\n"},
    )
    assert str(error.position) == "p/a.j2:2:8"
    assert error.source_line == "two {{ styl }}"
    assert error.chain == ("image a",)
    assert error.hint == 'did you mean "style"?'


def test_an_included_templates_mistake_is_in_it(bench: Workbench) -> None:
    error = bench.error(
        HEAD + "  a: {prompt: \"{% include 'p/x.j2' %}\", output: a.png}\n", {"p/x.j2": "x\n {{ nope }}"}
    )
    assert str(error.position) == "p/x.j2:2:5"


@pytest.mark.parametrize("name", ["../x.j2", "/etc/passwd", ".env", "link"])
def test_templates_include_below_the_manifest_only(
    bench: Workbench, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.j2"
    outside.write_text("secret")
    (bench.root / "link").symlink_to(outside)
    bench.write({".env": "KEY=1"})
    assert (
        "no file"
        in bench.error(HEAD + f"  a: {{prompt: \"{{% include '{name}' %}}\", output: a.png}}\n").message
    )


@pytest.mark.parametrize(
    ("kind", "name", "text", "place"),
    [
        ("markdown", "d.md", "---\ntitle: [\n---\n", "d.md:3:1"),
        ("markdown", "d.md", "---\na: 1\na: 2\n---\n", "d.md:3:1"),
        ("markdown", "d.md", "---\na: 1\n", "d.md:1:1"),
        ("csv", "d.csv", "id,t\na,1\nb,2,3\n", "d.csv:3:1"),
        ("csv", "d.csv", "id,t\na,1\na,2\n", "d.csv:3:1"),
        ("csv", "d.csv", 'id,t\n"a\n\n', "d.csv:2:1"),
        ("json", "d.json", '[{"id": "a"},\n {"id": }]', "d.json:2:9"),
        ("json", "d.json", '[{"id": "a"},\n {"id": "a"}]', "d.json:2:2"),
        ("json", "d.json", '[\n {"id": 1, "id": 2}]', "d.json:2:2"),
        ("json", "d.json", "[1e999]", "d.json:1:2"),
        ("json", "d.json", "[" * 5000, "d.json:1:1"),
        ("json", "d.json", "[" + "9" * 5000 + "]", "d.json:1:2"),
        ("yaml", "d.yaml", "- id: a\n- id: b\n- id: a\n", "d.yaml:3:3"),
        ("yaml", "d.yaml", "5\n", "d.yaml:1:1"),
        ("toml", "d.toml", "[[p]]\nid = 'a'\nid = 'b'\n", "d.toml:3:9"),
        ("toml", "d.toml", "[[p]]\nid = 'a'\n[[p]]\nid = 'a'\n", "d.toml:3:1"),
    ],
)
def test_a_data_files_mistake_is_in_the_file(
    bench: Workbench, kind: str, name: str, text: str, place: str
) -> None:
    manifest = HEAD + f"  a: {{prompt: x, output: '{{{{ item.slug }}}}.png', foreach: {{{kind}: {name}}}}}\n"
    error = bench.error(manifest, {name: text})
    assert str(error.position) == place, error.message
    assert error.chain == ("image a",)


@pytest.mark.parametrize(
    "provider",
    [
        "{type: openai, api_key: sk-canary-1}",
        "{type: openai, api_key: 'sk-canary-1', kee: 2}",
        "{type: openai, api_kye: sk-canary-1}",
        "{type: openai, secret: sk-canary-1, timeout: x}",
        "{type: openai, api_key: sk-canary-1, api_key: sk-canary-1}",
        "{type: openai, api_key: '${A} sk-canary-1'}",
        "{type: openai, api_key: [sk-canary-1]}",
        "{type: openai, base_url: 'https://me:sk-canary-1@host'}",
    ],
)
def test_a_literal_key_is_an_error_that_does_not_show_it(bench: Workbench, provider: str) -> None:
    found = bench.errors(f"version: 1\nproviders:\n  p: {provider}\n")
    assert "canary" not in repr(found)


def test_variables_that_need_each_other(bench: Workbench) -> None:
    error = bench.error(
        "version: 1\nvars: {a: '{{ b }}', b: '{{ a }}'}\nimages: {i: {prompt: '{{ a }}', output: i.png}}\n"
    )
    assert "a -> b -> a" in error.message
    assert str(error.position) == "imgbuild.yaml:2:11"


def test_presets_that_extend_each_other(bench: Workbench) -> None:
    error = bench.error(
        "version: 1\npresets:\n  p: {extends: q}\n  q: {extends: p}\n"
        "images: {i: {extends: p, prompt: x, output: i.png}}\n"
    )
    assert "p -> q -> p" in error.message
    assert str(error.position) == "imgbuild.yaml:4:16"


def test_several_providers_and_none_named_is_said_once(bench: Workbench) -> None:
    error = bench.error(
        "version: 1\nproviders: {p: {type: a}, q: {type: b}}\n"
        "images: {i: {prompt: x, output: i.png}, j: {prompt: x, output: j.png}}\n"
    )
    assert "several providers" in error.message
    assert str(error.position) == "imgbuild.yaml:3:10"


def test_a_million_images_and_one_are_not_expanded(bench: Workbench) -> None:
    axis = "[" + ",".join(map(str, range(101))) + "]"
    matrix = f"{{a: {axis}, b: {axis}, c: {axis}}}"
    error = bench.error(HEAD + f"  i: {{prompt: x, output: i.png, matrix: {matrix}}}\n")
    assert "1,030,301 images" in error.message


def test_an_unknown_profile(bench: Workbench) -> None:
    with pytest.raises(UsageError) as caught:
        bench.load("version: 1\nprofiles: {draft: {}}\n", profile="draff")
    assert caught.value.remedy == 'did you mean "draft"?'


def test_a_missing_or_unreadable_manifest(bench: Workbench) -> None:
    with pytest.raises(ManifestError, match="does not exist") as caught:
        load_project("imgbuild.yaml", DiskFiles(bench.root), display_root="sub")
    assert str(caught.value.diagnostics[0].position) == "sub/imgbuild.yaml:1:1"
    with pytest.raises(ManifestError, match="UTF-8"):
        bench.load("", {"imgbuild.yaml": b"version: 1\nx: \xff\n"})
    with pytest.raises(ManifestError, match="larger than"):
        bench.load("", {"imgbuild.yaml": b"#" * (16 * 1024 * 1024 + 1)})


MANIFEST_WORDS = st.sampled_from(
    [
        "version: 1\n",
        "images:\n",
        "  a:\n",
        "    prompt: x\n",
        "    output: a.png\n",
        "    matrix: {b: [1, 2]}\n",
        "    extends: p\n",
        "presets: {p: {size: 10x10}}\n",
        "    references: ['@a']\n",
        "vars: {a: '{{ b }}'}\n",
        "    prompt: '{{ a }}'\n",
        "    foreach: {items: [a]}\n",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "&a ",
        "*a ",
        "<<: *a\n",
        "'",
        '"',
        "\n",
        "  ",
        "!!str ",
        "x-y: 1\n",
        "include: ['*']\n",
        "    vars: [1]\n",
        "    derive: [{output: 'x{{ width }}'}]\n",
        "providers: {p: {type: x}}\n",
        "~",
        "null",
        "defaults: 1\n",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.lists(MANIFEST_WORDS | st.text(max_size=5), max_size=14).map("".join))
def test_any_text_loads_or_is_a_manifest_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "imgbuild.yaml").write_text(text, encoding="utf-8", errors="replace", newline="")
    try:
        load_project("imgbuild.yaml", DiskFiles(tmp_path))
    except ManifestError as error:
        assert error.diagnostics


@pytest.mark.parametrize("version", ["true", "1.0", "'1'"])
def test_a_version_is_a_whole_number(bench: Workbench, version: str) -> None:
    assert str(bench.error(f"version: {version}\n").position) == "imgbuild.yaml:1:10"


def test_small_manifests_do_not_fill_the_memory(bench: Workbench) -> None:
    axis = "[" + ",".join(map(str, range(1000))) + "]"
    error = bench.error(
        "version: 1\nvars: {t: \"{{ 'x' * 1000000 }}\"}\n"
        f"images: {{a: {{prompt: '{{{{ b }}}}{{{{ t }}}}', output: '{{{{ b }}}}.png', matrix: {{b: {axis}}}}}}}\n"
    )
    assert "together longer" in error.message
    assert str(error.position) == "imgbuild.yaml:3:10"


@pytest.mark.parametrize(
    ("presets", "images", "words"),
    [
        ("p0: {}", "{extends: p0", None),
        (
            "".join(f"p{n}: {{extends: p{n + 1}}}\n  " for n in range(300)) + "p300: {}",
            "{extends: p0",
            "more than 100",
        ),
        (
            "".join(f"p{n}: {{extends: [p{n + 1}, p{n + 1}]}}\n  " for n in range(60)) + "p60: {}",
            "{extends: p0",
            None,
        ),
    ],
)
def test_deep_and_wide_presets(bench: Workbench, presets: str, images: str, words: str | None) -> None:
    text = f"version: 1\npresets:\n  {presets}\nimages:\n  a: {images}, prompt: x, output: a.png}}\n"
    if words:
        assert words in bench.error(text).message
    else:
        assert len(bench.load(text).images) == 1
