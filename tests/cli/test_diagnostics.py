"""Errors in words: places, carets, origins, remedies; and as GitHub annotations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import (
    Diagnostic,
    LockedError,
    ManifestError,
    Position,
    StorageError,
    UsageError,
)
from imgbuild.core.events import ErrorEvent
from imgbuild.ui.diagnostics import annotation, diagnostic_lines, error_events, error_lines
from imgbuild.ui.spans import cells, render


def words(lines) -> str:
    return "\n".join(render(line, colour=False) for line in lines)


TYPO = Diagnostic(
    'unknown key "promt"',
    Position("art/imgbuild.yaml", 12, 5),
    "    promt: a cat",
    ("defaults", "preset icon", "image sprite"),
    'did you mean "prompt"?',
)


def test_a_diagnostic_shows_place_line_caret_origin_and_help():
    assert (
        words(diagnostic_lines(TYPO))
        == """\
art/imgbuild.yaml:12:5: error: unknown key "promt"
 12 |     promt: a cat
    |     ^
     = origin: defaults -> preset icon -> image sprite
     = help: did you mean "prompt"?"""
    )


@pytest.mark.parametrize(
    ("source", "column", "offset"),
    [
        ("\tkey: value", 2, 4),
        ("天际线: 值", 4, 6),
        ("e\u0301tude: x", 3, 1),
        ("key: \x1b[31m", 6, 5),
        ("short", 99, 5),
    ],
)
def test_the_caret_stands_below_its_character(source, column, offset):
    lines = words(diagnostic_lines(Diagnostic("wrong", Position("f", 1, column), source))).splitlines()
    assert lines[2].index("^") - len(" 1 | ") == offset
    assert "\x1b" not in lines[1]


@given(st.text(max_size=400), st.integers(1, 400))
def test_any_source_line_fits_and_stays_one_line(source, column):
    lines = diagnostic_lines(Diagnostic("wrong", Position("f", 1, column), source))
    assert len(lines) == 3
    text = render(lines[1], colour=False)
    assert len(text.splitlines()) == 1
    assert cells(text) <= 130
    assert render(lines[2], colour=False).endswith("^")


def test_several_errors_end_with_their_number():
    text = words(error_lines(ManifestError([TYPO, Diagnostic("no image has a prompt")])))
    assert text.endswith("error: no image has a prompt\nerror: 2 problems, nothing was sent")


def test_a_usage_error_is_one_line():
    assert words(error_lines(UsageError('no image is called "hro"', remedy='did you mean "hero"?'))) == (
        'error: no image is called "hro"; did you mean "hero"?'
    )


def test_other_errors_put_the_remedy_below():
    assert words(error_lines(StorageError("disk full: /x", remedy="make room"))) == (
        "error: disk full: /x\n  = help: make room"
    )
    locked = LockedError("they disagree\n  hero: prompt changed", ids=("hero",), remedy="build")
    assert words(error_lines(locked)) == "error: they disagree\n  hero: prompt changed\n  = help: build"


def test_an_error_becomes_one_event_for_each_problem():
    assert error_events(ManifestError([TYPO])) == (
        ErrorEvent('unknown key "promt"', "art/imgbuild.yaml", 12, 5, 'did you mean "prompt"?'),
    )
    assert error_events(UsageError("no", remedy="yes")) == (ErrorEvent("no", hint="yes"),)


def test_an_annotation_is_escaped_as_github_asks():
    event = ErrorEvent("50% wrong:\nsee, there", "a,b:c%.yaml", 3, 7)
    assert annotation(event) == "::error file=a%2Cb%3Ac%25.yaml,line=3,col=7::50%25 wrong:%0Asee, there"
    assert annotation(ErrorEvent("no place", hint="try it")) == "::error::no place (try it)"


@given(st.text(), st.text())
def test_no_message_can_start_another_workflow_command(message, file):
    text = annotation(ErrorEvent(message, file, 1, 1))
    assert len(text.splitlines()) == 1
    assert text.startswith("::error file=")
