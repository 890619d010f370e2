"""What a service's rate-limit headers mean for the next request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.providers.pace import Pace, duration


def headers(left: object, reset: str, kind: str = "requests") -> dict[str, str]:
    return {f"x-ratelimit-remaining-{kind}": str(left), f"x-ratelimit-reset-{kind}": reset}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("17ms", 0.017),
        ("1m30.5s", 90.5),
        ("250", 250),
        ("0s", 0),
        ("1h", 3600),
        ("", None),
        (None, None),
        ("soon", None),
        ("1s later", None),
        ("-1s", None),
        ("nan", None),
        ("١s", None),
        ("1e309", None),
    ],
)
def test_durations(text: str | None, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else min(seconds, 300))


def test_nothing_said_means_no_waiting() -> None:
    pace = Pace()
    pace.heed({"content-type": "application/json"}, 0.0)
    assert [pace.claim(0.0) for _ in range(50)] == [0.0] * 50


def test_the_last_request_is_sent_and_the_next_one_waits() -> None:
    pace = Pace()
    pace.heed(headers(2, "12s"), 100.0)
    assert [pace.claim(101.0) for _ in range(4)] == [0.0, 0.0, 11.0, 11.0]
    assert pace.claim(112.0) == 0.0


def test_what_is_under_way_counts_although_the_service_has_not_seen_it() -> None:
    pace = Pace()
    pace.heed(headers(2, "10s"), 0.0)
    assert pace.claim(0.0) == pace.claim(0.0) == 0.0
    pace.heed(headers(1, "9s"), 1.0)
    assert pace.claim(1.0) == 9.0


def test_a_new_window_forgets_the_old_one() -> None:
    pace = Pace()
    pace.heed(headers(0, "1s"), 0.0)
    pace.heed(headers(5, "60s"), 2.0)
    assert pace.claim(2.0) == 0.0


def test_images_are_counted_too_and_the_longest_wait_counts() -> None:
    pace = Pace()
    pace.heed(headers(0, "5s") | headers(0, "40s", "images"), 0.0)
    assert pace.claim(0.0) == 40.0


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=5), st.floats(0, 1e6))
def test_no_header_makes_anybody_wait_longer_than_five_minutes(
    pairs: list[tuple[str, str]], now: float
) -> None:
    pace = Pace()
    for left, reset in pairs:
        pace.heed(headers(left, reset), now)
    assert 0.0 <= pace.claim(now) <= 300.001
