"""What a real shell is given when somebody presses the Tab key."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import ProjectFolder

PRESS_TAB = """\
eval "$(imgbuild completion bash)"
COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
_python_argcomplete imgbuild
printf '%s\\n' "${COMPREPLY[@]}"
"""
MANIFEST = """\
version: 1
images:
  harbour:
    prompt: a harbour
    matrix: {tone: [red, blue]}
    output: "{{ tone }}.png"
  hero:
    prompt: a lighthouse
    output: hero.png
"""


@pytest.fixture
def project(new_project: Callable[..., ProjectFolder]) -> ProjectFolder:
    return new_project("project")


@pytest.fixture
def press_tab(project: ProjectFolder) -> Callable[..., list[str]]:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    programs = project.root.parent / "programs"
    programs.mkdir()
    program = programs / "imgbuild"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imgbuild "$@"\n')
    program.chmod(0o755)

    def press(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", PRESS_TAB, "bash", "imgbuild", *words],
            cwd=project.root,
            env={**project.environ, "PATH": f"{programs}:{project.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return [word.strip() for word in done.stdout.splitlines() if word]

    return press


def test_commands_options_and_choices_are_completed(project, press_tab):
    assert press_tab("bu") == ["build"]
    assert press_tab("build", "--lock") == ["--locked"]
    assert press_tab("check", "--output-format", "j") == ["json"]
    assert press_tab("nonsense", "x") == []


def test_targets_are_the_manifests_names_and_the_locks_ids(project, press_tab):
    project.manifest(MANIFEST)
    assert press_tab("build", "h") == ["harbour", "hero"]
    assert project.run("build").code == 0
    assert press_tab("pick", "har") == ["harbour", r"harbour\[tone=blue\]", r"harbour\[tone=red\]"]
    assert press_tab("explain", "he") == ["hero"]


def test_the_project_that_the_line_names_is_meant(project, press_tab):
    project.write("there/art.yaml", MANIFEST)
    assert press_tab("build", "he") == []
    assert press_tab("-C", "there", "-f", "art.yaml", "build", "he") == ["hero"]
    assert press_tab("build", "-C", "there", "-f", "art.yaml", "he") == ["hero"]


def test_what_is_no_target_is_a_file(project, press_tab):
    project.manifest(MANIFEST)
    Path(project.root, "mine.png").touch()
    assert press_tab("adopt", "hero", "mi") == ["mine.png"]


@pytest.mark.parametrize("broken", ["images: [", "\0", "images:\n  hero: &a [*a]\n", "x" * 100])
def test_a_broken_project_completes_nothing_and_says_nothing(project, press_tab, broken):
    project.manifest(broken)
    project.write("imgbuild.lock", broken)
    assert press_tab("build", "he") in ([], ["hero"])


def test_an_answer_imports_nothing_heavy(project):
    project.manifest(MANIFEST)
    code = (
        "import atexit, sys\nfrom imgbuild.cli import COMMANDS\nfrom imgbuild.commands.completing import image_ids\n"
        "from pathlib import Path\nprint(image_ids(Path('imgbuild.yaml'), None), *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=project.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("['harbour', 'hero']")
    assert not {"pydantic", "yaml", "jinja2", "httpx", "rich", "diskcache", "asyncio"} & {
        *done.stdout.split()
    }
