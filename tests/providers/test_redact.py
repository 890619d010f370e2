"""What services say is shown without secrets, signatures and control characters."""

from __future__ import annotations

import json
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.redact import HIDDEN, TEXT_LIMIT, clean, clean_json, escape, without_queries

KEY = 'sk-can"ary+key/0123456789'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 审核 and é", "plain text, 审核 and é"),
        ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\rb\nc\td", r"a\x0db\x0ac\x09d"),
        ("exe\u202egpj", r"exe\u202egpj"),
        ("\u2066x\u2069\u200f", r"\u2066x\u2069\u200f"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("half \ud800 pair", r"half \ud800 pair"),
        ("family 👨‍👩‍👧", "family 👨‍👩‍👧"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text(st.characters()))
def test_escaped_text_is_one_line_that_any_file_can_hold(text: str) -> None:
    shown = escape(text)
    shown.encode()
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert escape(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://cdn.example/a.png?sig=abc&x=1 now", "see https://cdn.example/a.png now"),
        ("HTTPS://cdn.example/a#frag", "HTTPS://cdn.example/a"),
        ("https://user:pass@host/x", "https://host/x"),
        ('{"url":"https://h/p?token=1","b":2}', '{"url":"https://h/p","b":2}'),
        ("what? no url here #1", "what? no url here #1"),
    ],
)
def test_query_strings_and_user_names_are_cut(text: str, shown: str) -> None:
    assert without_queries(text) == shown


@pytest.mark.parametrize("written", [KEY, quote(KEY, safe=""), json.dumps(KEY)[1:-1]])
def test_a_key_is_hidden_however_it_is_written(written: str) -> None:
    shown = clean(f"Bearer {written} is wrong", [KEY, None, ""])
    assert shown == f"Bearer {HIDDEN} is wrong"


def test_a_key_that_begins_another_does_not_leave_its_end() -> None:
    assert clean("secret-long", ["secret", "secret-long"]) == HIDDEN


@given(st.text(), st.text(), st.integers(0, 80))
def test_no_text_around_a_key_brings_it_out(before: str, after: str, limit: int) -> None:
    key = "sk-0123456789abcdef"
    shown = clean(before + key + after, [key], limit=limit)
    assert key not in shown
    assert len(shown) <= max(limit, 1)


def test_long_texts_are_cut_after_the_keys_are_gone() -> None:
    shown = clean("x" * (TEXT_LIMIT - 5) + KEY, [KEY])
    assert len(shown) == TEXT_LIMIT
    assert shown.endswith("…")
    assert "sk-" not in shown


def test_json_is_cleaned_in_values_and_names_and_to_a_depth() -> None:
    deep: object = KEY
    for _ in range(200):
        deep = [deep]
    cleaned = clean_json({KEY: [KEY, 1, None, True, {"a": "\x1b"}], "deep": deep}, [KEY])  # type: ignore[dict-item]
    text = json.dumps(cleaned)
    assert KEY not in text
    assert json.dumps(KEY)[1:-1] not in text
    assert cleaned[HIDDEN] == [HIDDEN, 1, None, True, {"a": r"\x1b"}]  # type: ignore[index,call-overload]
