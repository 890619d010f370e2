"""Verbs, options and their mistakes; what an import may cost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from imgbuild import __version__
from imgbuild.cli import COMMANDS

VERBS = [verb for group in COMMANDS.values() for verb in group]


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text.strip()


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(imgbuild, option):
    done = imgbuild(option)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"imgbuild {__version__}\n", "")


def test_help_lists_every_command(imgbuild):
    done = imgbuild("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n  {verb} " in done.stdout for verb in VERBS)
    assert max(map(len, done.stdout.splitlines())) <= 90


def test_without_a_command_the_help_goes_to_standard_error(imgbuild):
    done = imgbuild()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: imgbuild COMMAND" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help(imgbuild, verb):
    done = imgbuild(verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"imgbuild {verb}" in done.stdout
    assert "--output-format" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["biuld"], 'error: unknown command "biuld"; did you mean "build"?'),
        (["-q"], "error: a command is missing; imgbuild --help lists them"),
        (["build", "--lokced"], 'error: unknown option --lokced; did you mean "--locked"?'),
        (
            ["--locked", "build"],
            "error: unknown option --locked before the command; a command's own options follow it",
        ),
        (["check", "hero"], 'error: unexpected argument "hero"; see imgbuild check --help'),
        (["schema", "lok"], 'error: kind cannot be "lok"; allowed: manifest, lock, events'),
        (
            ["plan", "--output-format", "xml"],
            'error: --output-format cannot be "xml"; allowed: text, json, github',
        ),
        (
            ["build", "-j", "0"],
            'error: -j/--jobs: "0" is not a whole number of at least 1; see imgbuild build --help',
        ),
        (
            ["build", "--max-cost", "nan"],
            'error: --max-cost: "nan" is not an amount such as 2.50; see imgbuild build --help',
        ),
        (["-C", "nowhere", "check"], 'error: there is no folder "nowhere"; -C names the folder to work in'),
        (
            ["build", "--locked", "--placeholder"],
            "error: --locked and --placeholder contradict each other; placeholders are in no lock",
        ),
        (
            ["build", "--frozen", "--generate"],
            "error: --frozen and --generate contradict each other; give one of them",
        ),
        (["cache", "gc"], "error: gc needs a bound; give --max-size 5GB, --max-age 90d, or both"),
        (
            ["cache", "gc", "--max-size", "5 apples"],
            'error: --max-size: "5 apples" is not a size such as 5GB or 500MiB; see imgbuild cache --help',
        ),
        (["plan", "--profile", "../x"], 'error: "../x" cannot be the name of a profile'),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(project, arguments, expected):
    done = project(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr) == expected


def test_a_usage_error_in_json_follows_the_version(imgbuild):
    done = imgbuild("build", "--output-format=json", "--lokced")
    version, error = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (2, "")
    assert (version["event"], version["format_version"], version["command"]) == ("version", "1.0", "build")
    assert error == {
        "event": "error",
        "message": "unknown option --lokced",
        "file": None,
        "line": None,
        "column": None,
        "hint": 'did you mean "--locked"?',
    }


def test_a_missing_manifest_says_how_to_start(imgbuild):
    for verb in ("build", "plan", "check", "list"):
        done = imgbuild(verb)
        assert done.returncode == 2
        assert one_line(done.stderr) == (
            'error: there is no imgbuild.yaml; write a first one with "imgbuild init", or name another with -f FILE'
        )


def test_a_missing_manifest_names_one_further_up(project):
    (project.root / "content").mkdir()
    done = project("-C", "content", "check")
    assert done.returncode == 2
    assert "further up" in one_line(done.stderr)


def test_common_options_stand_before_or_after_the_command(project):
    name = project.root.name
    for arguments in (
        ["-C", name, "check"],
        ["check", "-C", name],
        [f"-C{name}", "--profile=default", "check"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "imgbuild", *arguments, "--output-format", "json"],
            cwd=project.root.parent,
            env=project.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        first, second = map(json.loads, done.stdout.splitlines()[:2])
        assert first["command"] == "check"
        assert second["event"] in ("data", "error")


LOADED = "import sys\nfrom imgbuild.__main__ import main\nsys.argv[1:] = {arguments}\nmain()\nprint(*sys.modules)\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_what_says_little_imports_little(imgbuild, arguments):
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=arguments)],
        env=imgbuild.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"pydantic", "httpx", "jinja2", "diskcache", "rich", "asyncio", "yaml", "argparse"}
    assert not loaded & heavy
    assert "imgbuild" in loaded


@pytest.mark.parametrize(
    ("prompt", "engine"), [("a {{ tone }} icon, {{tone}}", set()), ("a {{ tone | upper }} icon", {"jinja2"})]
)
def test_names_alone_are_filled_in_without_the_engine(imgbuild, prompt, engine):
    entry = f"{{matrix: {{tone: [warm, cold]}}, prompt: '{prompt}', output: '{{{{ tone }}}}.png'}}"
    (imgbuild.root / "imgbuild.yaml").write_text(f"version: 1\nimages:\n  icon: {entry}\n")
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(arguments=["plan"])],
        cwd=imgbuild.root,
        env=imgbuild.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "2 to generate" in done.stdout
    assert set(done.stdout.splitlines()[-1].split()) & {"jinja2"} == engine
