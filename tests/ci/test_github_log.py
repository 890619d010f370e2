"""`--output-format github`: annotations at the lines of the manifest, and no command from anybody else."""

from __future__ import annotations

import io
import re
import subprocess

from hypothesis import given
from hypothesis import strategies as st
from project_folder import STUDIO

from imgbuild.core.errors import StorageError, UsageError
from imgbuild.ui.machine import GithubDisplay
from imgbuild.ui.spans import Span
from imgbuild.ui.streams import Output

IMAGES = """\
images:
  hero: {prompt: A harbour, size: 1024x1024, output: out/hero.png}
  icon: {prompt: An anchor, size: 1024x1024, output: out/icon.png}
"""
COMMAND = re.compile(r"^\s*::|##\[", re.MULTILINE)
"""What GitHub's runner takes for a command."""


def test_a_failure_is_annotated_at_its_image_in_the_file_that_declares_it(project, start_emulator):
    emulator = start_emulator(fault=("refuse",))
    project.write("site/imgbuild.yaml", STUDIO.format(url=emulator.url) + "include: [art/*.imgbuild.yaml]\n")
    project.write("site/art/heroes.imgbuild.yaml", IMAGES)
    run = project.run("build", "-C", "site", "--output-format", "github")
    assert run.code == 1
    assert "::error file=site/art/heroes.imgbuild.yaml,line=2,col=3::hero: " in run.out
    assert "::error file=site/art/heroes.imgbuild.yaml,line=3,col=3::icon: " in run.out


def test_images_that_a_locked_build_refuses_are_annotated_at_the_field_that_changed(project, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    assert project.run("build").code == 0
    project.edit("A harbour", "A bay")
    project.edit("  icon:", "  flag:")
    run = project.run("build", "--locked", "--output-format", "github")
    assert run.code == 3
    hint = "(run imgbuild build where generating is allowed, and commit the lock)"
    assert run.out.splitlines() == [
        f"::error file=imgbuild.yaml,line=11,col=18::hero: prompt changed {hint}",
        f"::error file=imgbuild.yaml,line=12,col=3::flag: in the manifest, not in the lock {hint}",
        f"::error::icon: in the lock, not in the manifest {hint}",
    ]
    (error,) = project.json("build", "--locked", code=3).events[1:]
    assert (error["event"], "hero: prompt changed" in error["message"]) == ("error", True)


texts = st.text(st.sampled_from("#[]: \n\t\r\x1b\x85\u2028ax%") | st.characters(), max_size=30)


@given(st.lists(texts, min_size=1, max_size=4), texts)
def test_no_words_become_a_command_of_the_runner(pieces: list[str], message: str):
    out, err = io.StringIO(), io.StringIO()
    display = GithubDisplay(Output(out), Output(err))
    display.note([tuple(Span(piece) for piece in pieces)])
    display.error(StorageError(message, remedy=message))
    display.error(UsageError(message, remedy=message))
    said = out.getvalue().splitlines(keepends=True)
    assert all(line.startswith("::error::") for line in said)
    assert not COMMAND.search(err.getvalue())


def test_a_prompt_that_looks_like_a_command_is_shown_and_not_obeyed(project):
    def git(*words: str) -> None:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        subprocess.run(["git", *identity, *words], cwd=project.root, check=True, timeout=60)

    hostile = "##[set-output name=folder]/etc"
    project.manifest("version: 1\nimages:\n  a: {prompt: A bay, size: 64x64, output: out/a.png}\n")
    assert project.run("build").code == 0
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "images")
    project.edit("A bay", f'"{hostile}"')
    for words in (("plan",), ("explain", "a"), ("build", "-v"), ("diff",)):
        run = project.run(*words, "--output-format", "github")
        assert not COMMAND.search(run.out + run.err), words
    assert "# #[set-output name=folder]/etc" in run.out
    project.edit(f'"{hostile}", size', f'"{hostile}", sise')
    run = project.run("check", "--output-format", "github")
    assert (run.code, "# #[set-output" in run.err, "##[" in run.err) == (2, True, False)
