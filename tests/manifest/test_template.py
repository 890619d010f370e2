"""Templates: what they may do, what they may not, and where their errors are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.manifest.template import Templates
from imgbuild.core.manifest.template_parts import TemplateFailure

FILES = {
    "ok.j2": "ok {{ x }}",
    "typo.j2": "one\ntwo {{ zork }}",
    "self.j2": "{% include 'self.j2' %}",
    "fork.j2": "{% set n = n - 1 %}{% if n %}{% include 'fork.j2' %}{% include 'fork.j2' %}{% endif %}",
    "broken.j2": "x {{ a b }}",
}
VALUES: dict[str, Any] = {
    "x": "X",
    "style": "flat",
    "post": {"title": "T", "items": "mine"},
    "n": 60,
    "list": [1, 2, 3],
    "long": "abc" * 300,
    "nothing": None,
}


def render(text: str) -> str:
    templates = Templates(FILES.get)
    return templates.render(templates.compile(text), VALUES)


def failure(text: str) -> TemplateFailure:
    with pytest.raises(TemplateFailure) as caught:
        render(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain { text }", "plain { text }"),
        ("{{ x }} {{ post.title | lower ~ x }}", "X tX"),
        ("{{ post.items }}", "mine"),
        ("{{ list | join(', ') }}", "1, 2, 3"),
        ("{% for i in list %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %}", "1,2,3"),
        ("{{ absent | default('d') }}", "d"),
        ("{% include 'ok.j2' %}!", "ok X!"),
        ("{{ x.lower().strip() }}{{ 2 ** 10 }}", "x1024"),
        ("a\n", "a\n"),
        ("{{ x }}\n", "X\n"),
        ("{{ x | replace('X', 'yy') }}", "yy"),
    ],
)
def test_rendering(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize(
    ("text", "at", "words", "hint"),
    [
        ("é\n a {{ styl }} b", "styl", '"styl" is undefined', 'did you mean "style"?'),
        ("{{ 'styl' }} {{ styl }}", "styl }", '"styl" is undefined', 'did you mean "style"?'),
        ("a {{ post.titel }}", "titel", '"titel" is no member', 'did you mean "title"?'),
        ("{{ x ~ styl }}", "styl", '"styl" is undefined', 'did you mean "style"?'),
        ("{%- if x -%}  hey {{ styl }}{% endif %}", "styl", '"styl" is undefined', 'did you mean "style"?'),
        ("{{ lipsum() }}", "lipsum", '"lipsum" is undefined', None),
        ("{{ a b }}", "b }}", "expected token", None),
        ("{{ x ? }}", "? }}", "unexpected char", None),
        ("{{ x | slugify }}", "slugify", "No filter named", None),
        ("{% macro m() %}{% endmacro %}", "macro", "not available", None),
        ("{{ list }}", "list", "cannot be printed", None),
        ("{{ nothing }}", "nothing", "empty", None),
        ("z {% include 'nope.j2' %}", "include", "there is no file", None),
    ],
)
def test_errors_stand_at_their_place(text: str, at: str, words: str, hint: str | None) -> None:
    error = failure(text)
    assert text[error.offset :].startswith(at)
    assert words in error.message
    if hint:
        assert error.hint == hint


def test_errors_in_included_files_name_them() -> None:
    error = failure("{% include 'typo.j2' %}")
    assert (error.name, FILES["typo.j2"][error.offset :]) == ("typo.j2", "zork }}")
    assert failure("{% include 'broken.j2' %}").name == "broken.j2"


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 300000000 }}",
        "{{ ('a',) * 300000000 }}",
        "{{ 'a'.center(300000000) }}",
        "{{ 'a' | center(300000000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '%9999999d' | format(1) }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ 2 ** 100000 }}",
        "{% for a in long %}{% for b in long %}{% for c in long %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in long %}{% for b in long %}" + "text " * 1000 + "{% endfor %}{% endfor %}",
        "{% set a = 'x' * 100000 %}{% set b = a ~ a ~ a ~ a %}{% set c = b ~ b ~ b ~ b %}{% set d = c ~ c %}",
        "{% set a = 'x' * 900000 %}{% set b = a + a + a + a + a %}",
        "{% for i in long %}{% set y %}{{ long * 10 }}{% endset %}{% endfor %}",
        "{{ (['x' * 1000000] * 100) | join }}",
        "{{ ('x' * 3000) | replace('x', 'x' * 3000) }}",
        "{{ ['x' * 1000000] * 1000 }}",
        "{{ 'x' * 1048577 }}",
        "{% include 'self.j2' %}",
        "{% include 'fork.j2' %}",
        "{{ " + "(" * 3000 + "x" + ")" * 3000 + " }}",
        "{{ " + "+".join(["x"] * 50000) + " }}",
        "{{ " + "9" * 5000 + " }}",
        "{{ x }}" * 30000,
        "{{ x.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ range(10) }}",
        "{{ cycler }}",
        "{{ namespace(a=1) }}",
        "{{ list.append(4) }}",
        "{{ self._TemplateReference__context }}",
        "{{ '\\ud800' }}",
        "{{ '\\x00' }}",
        "{{ 0 | imgbuild_spend(-99999999) }}",
        "{{ list | random }}",
        "{{ x | pprint }}",
    ],
)
def test_payloads_end_with_an_error(text: str) -> None:
    assert failure(text).message


@given(st.text(alphabet="{}%#-| x'\"().,[]~*+=:0123if for in end", max_size=60))
def test_any_template_renders_or_fails(text: str) -> None:
    templates = Templates(FILES.get)
    try:
        templates.render(templates.compile("{{" + text + "}}"), VALUES)
    except TemplateFailure as error:
        assert 0 <= error.offset <= len(text) + 4


@given(st.text(max_size=200))
def test_text_without_tags_is_itself(text: str) -> None:
    templates = Templates(FILES.get)
    if not any(tag in text for tag in ("{{", "{%", "{#")):
        assert templates.render(templates.compile(text), {}) == text
