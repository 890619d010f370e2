"""Tags are compiled one by one and shared by all texts; the engine would give the same for each whole text."""

from __future__ import annotations

import keyword
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import FunctionLoader

from imgbuild.core.manifest.template import Templates
from imgbuild.core.manifest.template_engine import Engine
from imgbuild.core.manifest.template_guard import METER, Meter, Sandbox
from imgbuild.core.manifest.template_parts import TemplateFailure

VALUES: dict[str, Any] = {"x": "X", "n": 7, "post": {"title": "T"}, "list": ["a", "b"]}
PIECES = [
    *("{{ x }}", "{{x}}", "{{ post.title }}", "{{ list | join }}", "{{ n + 1 }}", "{{ x ~ n }}", "{{ list[1] }}"),
    *("{{- x }}", "{{ x -}}", "{{+ x }}", "{{ 'a' }}", "{{ {'a': 1}['a'] }}", "{{ '}}' }}", "{{ x\n}}"),
    *("{% if n %}", "{% endif %}", "{# note #}", "{% raw %}", "{% endraw %}", "{%- set y = 1 -%}", "{{ y }}"),
    *("{{ self }}", "{{ true }}", "{{ none }}", "{{ loop }}", "{{ list }}", "{{ n }}", "{{\tx }}"),
    *("{{ missing }}", "{{ x ? }}", "{{", "}}", "{", "}", "%}", "#}", "{{ }}", "-", "+", "'", '"'),
    *(" ", "\n", "\r\n", "\r", "words", "é", " in "),
]  # fmt: skip


def whole(text: str) -> str | None:
    """What the engine makes of a text in one piece; None when it refuses."""
    sandbox = Sandbox(FunctionLoader(lambda name: None))
    try:
        template = sandbox.from_string(text)
        return "".join(template.root_render_func(template.new_context({**VALUES, METER: Meter()})))
    except Exception:
        return None


def in_stretches(text: str) -> str | None:
    templates = Templates(lambda name: None)
    try:
        return templates.render(templates.compile(text), VALUES)
    except TemplateFailure:
        return None


@given(text=st.lists(st.sampled_from(PIECES), max_size=8).map("".join).filter(lambda text: "{" in text))
@example("{{{ x }}}")
@example("{ {{ x }} }")
@example("{{ x }}}")
@example("a {{ x }}, {{ n }}\n")
def test_a_text_is_rendered_as_the_engine_renders_it_whole(text: str) -> None:
    templates = Templates(lambda name: None)
    try:
        plain = not templates.compile(text).parts
    except TemplateFailure:
        plain = False
    assert in_stretches(text) == (text if plain else whole(text))


@pytest.mark.parametrize(
    "word",
    [*keyword.kwlist, *keyword.softkwlist, "true", "none", "self", "not", "loop", "for", "raw", "set", "x"],
)
def test_a_word_alone_in_its_tag_reads_what_the_engine_reads(word: str) -> None:
    engine, templates = Engine(lambda name: None), Templates(lambda name: None)
    text = f"{{{{ {word} }}}}"
    try:
        needs = engine.stretch(text, 0).needs
    except TemplateFailure:
        with pytest.raises(TemplateFailure):
            templates.compile(text)
    else:
        assert templates.compile(text).needs == needs


def test_thousands_of_texts_with_the_same_tags_are_compiled_as_few() -> None:
    templates = Templates(lambda name: None)
    texts = [templates.compile(f"{{{{ x }}}}, number {n}, {{{{ n }}}}") for n in range(100)]
    assert len({id(part) for text in texts for _, part in text.parts}) == 2
    assert templates.render(texts[42], VALUES) == "X, number 42, 7"


def test_a_failure_stands_at_its_tag_and_not_at_an_equal_one_before() -> None:
    templates = Templates(lambda name: None)
    text = "{{ x }} and {{ x }} and {{ post.titel }}"
    try:
        templates.render(templates.compile(text), VALUES)
    except TemplateFailure as failure:
        assert text[failure.offset :] == "titel }}"
    else:
        raise AssertionError("it has to fail")
