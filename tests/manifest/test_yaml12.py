"""YAML 1.2's core schema, places, and the limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.manifest.scalar_place import place_in_scalar, text_as_written
from imgbuild.core.manifest.source import Source
from imgbuild.core.manifest.yaml12 import Map, Seq, parse_yaml, pure_events


def read(text: str) -> Any:
    node, problems = parse_yaml(Source("f.yaml", text))
    assert not problems
    return node


def wrong(text: str) -> tuple[str, str]:
    source = Source("f.yaml", text)
    _, problems = parse_yaml(source)
    assert problems, text
    return str(source.position(problems[0].at)), problems[0].message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16:9", "16:9"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("~", None),
        ("null", None),
        ("", None),
        ("012", 12),
        ("0o14", 12),
        ("0xFf", 255),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("-7", -7),
        ("1.0", 1.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1:30:00", "1:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("-.inf", -math.inf),
        ("=", "="),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int '12'", 12),
        ("!!float 1", 1.0),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_scalars(text: str, value: object) -> None:
    result = read(f"a: {text}\n")["a"]
    assert result == value
    assert type(result) is type(value)


def test_keys_are_text() -> None:
    assert read("1: a\ntrue: b\n~: c\n") == {"1": "a", "true": "b", "~": "c"}


def test_places_count_characters() -> None:
    node = read('é: "ü"\n"k😀": [ä, {b: c}]\n')
    assert isinstance(node, Map)
    position = node.source.position
    assert str(position(node.values_at["é"])) == "f.yaml:1:4"
    assert str(position(node.keys_at["k😀"])) == "f.yaml:2:1"
    assert isinstance(node["k😀"], Seq)
    assert str(position(node["k😀"].items_at[1])) == "f.yaml:2:11"


def test_line_separators_are_no_line_breaks() -> None:
    node = read('a: "x\u2028y"\nb: c\n')
    assert str(node.source.position(node.keys_at["b"])) == "f.yaml:2:1"


def test_merge_keys_and_anchors() -> None:
    node = read("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], c: 5}\nw: {<<: *x}\n")
    assert node["z"] == {"a": 1, "b": 2, "c": 5}
    assert node["w"] == {"a": 1, "b": 2}
    assert str(node.source.position(node["z"].values_at["a"])) == "f.yaml:1:11"


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read('"<<": 1\n') == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1", 'duplicate key "a"; it is first given on line 1'),
        ("a: [\n", "f.yaml:2:1", "not YAML"),
        ("a: b: c\n", "f.yaml:1:5", "mapping values are not allowed"),
        ("a: @x\n", "f.yaml:1:4", "cannot start any token"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1", "second document"),
        ("a: *b\n", "f.yaml:1:4", "no anchor"),
        ("a: &a [*a]\n", "f.yaml:1:8", "inside its own anchor"),
        ("a: !!python/object/apply:os.system [x]\n", "f.yaml:1:4", "!!python/object/apply:os.system"),
        ("a: !!timestamp 2024-01-01\n", "f.yaml:1:4", "!!timestamp"),
        ("a: !!int x\n", "f.yaml:1:4", "no int"),
        ("a: !mine x\n", "f.yaml:1:4", "!mine"),
        ("a: 9223372036854775808\n", "f.yaml:1:4", "64 bits"),
        ("a: " + "9" * 5000, "f.yaml:1:4", "64 bits"),
        ("a: 1e999\n", "f.yaml:1:4", "too large"),
        ("[" * 3000, "f.yaml:1:101", "deeper than 100"),
        ("- " * 3000, "f.yaml:1:201", "deeper than 100"),
        ("? [a]\n: b\n", "f.yaml:1:3", "a key must be text"),
        ("a: x\x01y\n", "f.yaml:1:5", "cannot stand in YAML"),
        ("a: &x 1\nb: {<<: *x}\n", "f.yaml:1:7", "<< merges"),
    ],
)
def test_errors(text: str, place: str, words: str) -> None:
    where, message = wrong(text)
    assert words in message
    if words != "<< merges":
        assert where == place


def test_all_duplicates_are_found() -> None:
    _, problems = parse_yaml(Source("f", "a: 1\na: 2\nb: {c: 1, c: 2}\n"))
    assert len(problems) == 2


def test_an_alias_bomb_ends_at_its_line() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{','.join(['*' + before] * 9)}]")
    where, message = wrong("\n".join(lines))
    assert "aliases make more than 100,000 nodes" in message
    assert where.startswith("f.yaml:6:")


EXAMPLES = ["a: [1, {b: c}]\n", "- x\n- 'y'\n- |\n  z\n", "a: &q 1\nb: *q\n", "x: {<<: {a: 1}, b: 2}\n", ""]


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_pure_parser_gives_the_same(text: str) -> None:
    source = Source("f", text)
    assert parse_yaml(source) == parse_yaml(source, pure_events(text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: x {{ q }}\n", "1:9"),
        ("a: 'it''s {{ q }}'\n", "1:14"),
        ('a: "\\u0020\\t {{ q }}"\n', "1:17"),
        ('a: "x\\\n   {{ q }}"\n', "2:7"),
        ("a: >-\n  b\n\n  c {{ q }}\n", "4:8"),
        ("a: |  # note\n  é\n  {{ q }}\n", "3:6"),
        ("a: &x !!str\n  {{ q }}\n", "2:6"),
        ("a:\n  one\n  {{ q }}\n", "3:6"),
    ],
)
def test_a_place_inside_a_scalar(text: str, place: str) -> None:
    if "!!str" in text or text == "a:\n  {{ q }}\n":
        text = text.replace("{{ q }}", "z {{ q }}")
        place = "2:8"
    node = read(text)
    value, source = node["a"], node.source
    at = place_in_scalar(source.text, node.values_at["a"], value, value.index("q"))
    position = source.position(at)
    assert f"{position.line}:{position.column}" == place


def test_numbers_keep_their_text() -> None:
    node = read("[1.0, 007, true, 'x', &a 1e3]")
    texts = [text_as_written(node.source.text, at, v) for v, at in zip(node, node.items_at, strict=True)]
    assert texts == ["1.0", "007", "true", "x", "1e3"]


@given(st.text(max_size=300))
def test_any_text_gives_a_tree_or_problems(text: str) -> None:
    source = Source("f", text)
    node, problems = parse_yaml(source)
    assert problems or node is None or isinstance(node, bool | int | float | str | Map | Seq)
    for problem in problems:
        assert source.position(problem.at).line >= 1


@given(
    st.recursive(st.text(alphabet="ab \n\"'\\é", max_size=8), lambda n: st.lists(n, max_size=3), max_leaves=8)
)
def test_json_texts_come_back(value: object) -> None:
    import json

    assert read(json.dumps(value)) == value
