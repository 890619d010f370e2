"""Pictures on a terminal: the exact bytes of three protocols, and when they are sent."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted import painted
from project_folder import ProjectFolder
from terminal import on_a_terminal

from imgbuild.ui.inline_images import iterm2, kitty, protocol, sixel


def test_kitty_gets_png_in_chunks():
    assert kitty(b"abc") == "\x1b_Ga=T,f=100,q=2,m=0;YWJj\x1b\\"
    long = kitty(bytes(4000))
    assert long.startswith("\x1b_Ga=T,f=100,q=2,m=1;" + "A" * 4096 + "\x1b\\\x1b_Gm=0;")


@given(st.binary(min_size=1, max_size=20_000))
def test_what_kitty_gets_is_the_file(data: bytes):
    chunks = re.findall(r"\x1b_G[^;]*;([^\x1b]*)\x1b\\", kitty(data))
    assert all(len(chunk) <= 4096 for chunk in chunks)
    assert base64.b64decode("".join(chunks)) == data


def test_iterm2_gets_the_file_and_its_size():
    assert iterm2(b"abc") == "\x1b]1337;File=inline=1;size=3;preserveAspectRatio=1:YWJj\a"


def test_sixels_are_bands_of_six_rows_and_one_colour_at_a_time():
    red, blue = bytes([255, 0, 0]), bytes([0, 0, 255])
    assert sixel(2, 1, red + blue) == '\x1bPq"1;1;2;1#5;2;0;0;100#180;2;100;0;0#5?@$#180@?\x1b\\'
    assert sixel(5, 7, red * 35) == '\x1bPq"1;1;5;7#180;2;100;0;0#180!5~-#180!5@\x1b\\'


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"WT_SESSION": "0"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, None),
        ({"TERM": "screen", "TERM_PROGRAM": "iTerm.app"}, None),
        ({}, None),
    ],
)
def test_the_environment_tells_the_protocol(environ: dict[str, str], expected: str | None):
    assert protocol(environ) == expected


@pytest.fixture
def built(project: ProjectFolder) -> ProjectFolder:
    project.manifest("version: 1\nimages: {hero: {prompt: a lighthouse, size: 64x32, output: hero.png}}\n")
    project.json("build")
    return project


@pytest.mark.parametrize(
    ("term", "sign"),
    [("xterm-kitty", "\x1b_Ga=T"), ("foot", "\x1bPq"), ("xterm-256color", "imgbuild gallery does")],
)
def test_a_terminal_that_can_is_shown_the_picture(built: ProjectFolder, term: str, sign: str):
    for command in ("show", "takes"):
        code, seen = on_a_terminal(built.root, built.environ, command, "hero", "--preview", TERM=term)
        assert (code, sign in seen) == (0, True)
    code, seen = on_a_terminal(built.root, built.environ, "show", "hero", TERM=term)
    assert sign not in seen


def test_a_pipe_and_json_never_get_a_picture(built: ProjectFolder):
    for words in (["show", "hero", "--preview"], ["takes", "hero", "--preview"]):
        assert "\x1b" not in built.run(*words, TERM="xterm-kitty").out
    code, seen = on_a_terminal(
        built.root, built.environ, "show", "hero", "--preview", "--output-format", "json", TERM="xterm-kitty"
    )
    assert (code, "\x1b_G" in seen) == (0, False)


def test_a_file_that_is_no_picture_is_passed_over(built: ProjectFolder):
    built.write("hero.png", b"text")
    code, seen = on_a_terminal(built.root, built.environ, "show", "hero", "--preview", TERM="xterm-kitty")
    assert (code, "changed by hand" in seen, "\x1b_G" in seen) == (0, True, False)
    built.write("hero.png", painted(2, 2))
    assert (
        "\x1b_G"
        in on_a_terminal(built.root, built.environ, "show", "hero", "--preview", TERM="xterm-kitty")[1]
    )
