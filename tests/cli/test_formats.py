"""Standard output and error in each format: for people, for programs, for a CI log."""

from __future__ import annotations

import json

import jsonschema
import pytest

from imgbuild.core.schema_formats import events_schema

SCHEMA = json.loads(events_schema())
WRONG = "version: 1\nimages:\n  hero:\n    promt: a harbour\n    size: 120x63\n    output: out/hero.png\n"


def events(text: str) -> list[dict]:
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        jsonschema.validate(event, SCHEMA)
    assert found[0]["event"] == "version"
    return found


def test_a_build_tells_progress_on_stderr_and_the_sum_on_stdout(project):
    done = project("build")
    assert done.returncode == 0
    assert done.stdout.startswith("2 generated in ")
    lines = done.stderr.splitlines()
    assert lines[0] == "2 to generate"
    assert sorted(lines[1:]) == ["generated  hero  out/hero.png", "generated  icon  out/icon.png"]
    assert (project.root / "out/hero.png").is_file()


def test_nothing_to_do_is_one_line_and_nothing_when_quiet(project):
    project("build")
    done = project("build")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 images, nothing to do\n", "")
    assert project("plan").stdout == "2 images, nothing to do\n"
    for verb in ("build", "plan"):
        done = project(verb, "-q")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_quiet_still_shows_what_is_wrong(project):
    project("build")
    (project.root / "out/hero.png").write_bytes(b"retouched")
    done = project("build", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    assert "out/hero.png was changed by hand" in done.stderr
    assert "--overwrite" in done.stderr
    project.write(WRONG)
    done = project("-q", "build")
    assert (done.returncode, done.stdout) == (2, "")
    assert "imgbuild.yaml:4:5: error:" in done.stderr


def test_verbose_tells_every_reason_and_state(project):
    done = project("build", "-v")
    assert "+ hero  new, generate 120x63" in done.stderr


def test_a_build_in_json_is_described_by_the_schema(project):
    done = project("build", "--output-format", "json")
    told = events(done.stdout)
    assert done.stderr == ""
    assert [event["event"] for event in told if event["event"] != "job"] == [
        "version", "action", "action", "image", "image", "summary",
    ]  # fmt: skip
    assert told[0]["command"] == "build"
    assert told[1]["action"] == "generate"
    assert told[1]["reasons"] == [{"field": "id", "old": None, "new": "hero"}]
    images = {event["id"]: event for event in told if event["event"] == "image"}
    assert images["hero"]["status"] == "generated"
    assert images["hero"]["outputs"] == ["out/hero.png"]
    assert images["hero"]["error"] is None
    assert told[-1]["generated"] == 2
    assert list(told[-1])[:2] == ["event", "generated"]


def test_a_plan_in_json_leaves_out_what_is_unchanged(project):
    project("build")
    (project.root / "out/icon.png").unlink()
    told = events(project("plan", "--output-format", "json").stdout)
    assert [(event["event"], event.get("id")) for event in told] == [
        ("version", None),
        ("action", "icon"),
        ("summary", None),
    ]
    assert (told[1]["action"], told[2]["restored"], told[2]["unchanged"]) == ("restore", 1, 1)


def test_a_manifest_error_in_json_has_its_place_and_no_summary(project):
    project.write(WRONG)
    for verb in ("build", "plan", "check"):
        done = project(verb, "--output-format=json")
        told = events(done.stdout)
        assert (done.returncode, done.stderr) == (2, "")
        assert {event["event"] for event in told[1:]} == {"error"}
        (typo,) = (event for event in told[1:] if 'key "promt"' in event["message"])
        assert (typo["file"], typo["line"], typo["column"]) == ("imgbuild.yaml", 4, 5)
        assert typo["hint"] == 'did you mean "prompt"?'


def test_a_manifest_error_in_text_has_caret_and_help(project):
    project.write(WRONG)
    done = project("check")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        'imgbuild.yaml:4:5: error: unknown key "promt"\n 4 |     promt: a harbour\n   |     ^\n'
        in done.stderr
    )
    assert 'did you mean "prompt"?' in done.stderr


def test_github_gets_annotations(project):
    project.write(WRONG)
    done = project("check", "--output-format", "github")
    assert done.returncode == 2
    assert "::error file=imgbuild.yaml,line=4,col=5::" in done.stdout
    assert "imgbuild.yaml:4:5: error:" in done.stderr


def test_file_names_are_relative_to_the_current_directory(project):
    project.write(WRONG, "sub/imgbuild.yaml")
    assert "sub/imgbuild.yaml:4:5: error:" in project("-C", "sub", "check").stderr
    assert "sub/imgbuild.yaml:4:5: error:" in project("check", "-f", "sub/imgbuild.yaml").stderr


def test_without_a_terminal_there_are_no_colours(project):
    for arguments in (["plan"], ["build", "-v"], ["list", "--status"], ["--help"]):
        done = project(*arguments, FORCE_COLOR="1", TERM="xterm-256color")
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("format", ["text", "json", "github"])
def test_control_characters_of_a_manifest_are_written_out(project, format):
    project.write(
        'version: 1\nimages:\n  hero: {prompt: "a\\e]52;c;AA\\a\\u202E", size: 64x64, output: out/hero.png}\n'
    )
    project("build")
    project.write('version: 1\nimages:\n  hero: {prompt: "b", size: 64x64, output: out/hero.png}\n')
    done = project("plan", "--output-format", format)
    assert done.returncode == 0, done.stderr
    decoded = done.stdout + "".join(str(json.loads(x)) for x in done.stdout.splitlines() if format == "json")
    assert not any(character in decoded for character in "\x1b\x07\u202e")
    assert "x1b" in decoded


def test_output_survives_a_locale_without_letters(project):
    project.write("version: 1\nimages:\n  天: {prompt: 夜, size: 64x64, output: out/夜.png}\n")
    done = project("plan", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert "1 to generate" in done.stdout
