"""The table of failures, Retry-After, and when to try again."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.retry import (
    RETRY_AFTER_LIMIT,
    Breakdown,
    GiveUp,
    Phase,
    Wait,
    decide,
    kind_of_breakdown,
    kind_of_business_error,
    kind_of_status,
    kind_of_words,
    next_limit,
    retry_after,
)

NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("status", "submit", "poll", "download"),
    [
        (301, K.INVALID, K.UNUSABLE, K.UNUSABLE),
        (303, K.AMBIGUOUS, K.UNUSABLE, K.UNUSABLE),
        (400, K.INVALID, K.UNUSABLE, K.UNUSABLE),
        (401, K.AUTH, K.AUTH, K.UNUSABLE),
        (402, K.CREDIT, K.CREDIT, K.UNUSABLE),
        (403, K.AUTH, K.AUTH, K.UNUSABLE),
        (404, K.INVALID, K.UNUSABLE, K.UNUSABLE),
        (408, K.INVALID, K.TRANSIENT, K.TRANSIENT),
        (413, K.INVALID, K.UNUSABLE, K.UNUSABLE),
        (422, K.INVALID, K.UNUSABLE, K.UNUSABLE),
        (429, K.RATE_LIMITED, K.RATE_LIMITED, K.RATE_LIMITED),
        (500, K.AMBIGUOUS, K.TRANSIENT, K.TRANSIENT),
        (502, K.AMBIGUOUS, K.TRANSIENT, K.TRANSIENT),
        (503, K.RATE_LIMITED, K.RATE_LIMITED, K.RATE_LIMITED),
        (504, K.AMBIGUOUS, K.TRANSIENT, K.TRANSIENT),
        (520, K.AMBIGUOUS, K.TRANSIENT, K.TRANSIENT),
        (524, K.AMBIGUOUS, K.TRANSIENT, K.TRANSIENT),
    ],
)
def test_http_statuses(status: int, submit: K, poll: K, download: K) -> None:
    assert [kind_of_status(status, phase) for phase in Phase] == [submit, poll, download]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Your request was rejected by the safety system (moderation_blocked)", K.REFUSED),
        ("content_policy_violation", K.REFUSED),
        ("This violates our usage policies", K.REFUSED),
        ("Content Moderated", K.REFUSED),
        ("PROHIBITED_CONTENT", K.REFUSED),
        ("内容违规，审核未通过", K.REFUSED),
        ("insufficient_quota", K.CREDIT),
        ("insufficient_user_quota", K.CREDIT),
        ("Insufficient account balance", K.CREDIT),
        ("not enough credits", K.CREDIT),
        ("余额不足", K.CREDIT),
        ("Invalid API key", K.AUTH),
        ("invalid_api_key", K.AUTH),
        ("Unauthorized", K.AUTH),
        ("rate_limit_exceeded", K.RATE_LIMITED),
        ("Too Many Requests", K.RATE_LIMITED),
        ("size must be one of", None),
        ("upstream error", None),
        ("", None),
    ],
)
def test_words(words: str, kind: K | None) -> None:
    assert kind_of_words(words) is kind


def test_words_decide_where_a_status_is_shared() -> None:
    assert kind_of_status(400, Phase.SUBMIT, "content policy") is K.REFUSED
    assert kind_of_status(403, Phase.SUBMIT, "content_filter") is K.REFUSED
    assert kind_of_status(429, Phase.SUBMIT, "insufficient_quota") is K.CREDIT
    assert kind_of_status(403, Phase.SUBMIT, "insufficient_user_quota") is K.CREDIT
    # A service that is too busy to moderate has refused nothing.
    assert kind_of_status(503, Phase.SUBMIT, "moderation is overloaded") is K.RATE_LIMITED
    assert kind_of_status(429, Phase.SUBMIT, "moderation rate") is K.RATE_LIMITED


def test_an_error_under_200_goes_by_its_words() -> None:
    assert kind_of_business_error("bad size", Phase.SUBMIT) is K.INVALID
    assert kind_of_business_error("task_not_exist", Phase.POLL) is K.UNUSABLE
    assert kind_of_business_error("insufficient balance", Phase.SUBMIT) is K.CREDIT


def test_only_what_was_sent_is_ambiguous() -> None:
    on_submit = {breakdown: kind_of_breakdown(breakdown, Phase.SUBMIT) for breakdown in Breakdown}
    assert on_submit.pop(Breakdown.UNSENT) is K.TRANSIENT
    assert on_submit.pop(Breakdown.UNSENDABLE) is K.INVALID
    assert set(on_submit.values()) == {K.AMBIGUOUS}
    for breakdown in Breakdown:
        assert kind_of_breakdown(breakdown, Phase.POLL) is not K.AMBIGUOUS
        assert kind_of_breakdown(breakdown, Phase.DOWNLOAD) in (K.TRANSIENT, K.UNUSABLE)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e309", None),
        ("٥", None),
        ("५", None),
        ("999999999999", RETRY_AFTER_LIMIT),
        ("9" * 400, None),
        ("soon", None),
        (formatdate(NOW + 60, usegmt=True), 60.0),
        (formatdate(NOW - 60, usegmt=True), 0.0),
        (formatdate(NOW + 10**7, usegmt=True), RETRY_AFTER_LIMIT),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("Sun, ٠٦ Nov 2094 08:49:37 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(), st.floats(0, 1e11))
def test_retry_after_never_fails_and_stays_inside_its_limits(header: str, now: float) -> None:
    seconds = retry_after(header, now, 30.0)
    assert seconds is None or 0 <= seconds <= 30


kinds = st.sampled_from(list(K))
patient = st.floats(0, 1e6)


@given(kinds, st.integers(1, 40), st.none() | st.floats(0, 300), st.floats(0, 1), patient, patient)
def test_never_earlier_than_asked_and_never_past_the_deadline(
    kind: K, attempt: int, asked: float | None, random01: float, elapsed: float, deadline: float
) -> None:
    decision = decide(kind, attempt, asked, random01, elapsed, deadline)
    if kind not in (K.TRANSIENT, K.RATE_LIMITED):
        assert decision == GiveUp()
    if isinstance(decision, Wait):
        assert decision.seconds >= (asked or 0.0)
        assert elapsed + decision.seconds < deadline
        assert math.isfinite(decision.seconds)


def test_waits_grow_and_end() -> None:
    longest = [decide(K.TRANSIENT, attempt, None, 1.0, 0.0, 1e9) for attempt in range(1, 7)]
    assert longest == [Wait(1.0), Wait(2.0), Wait(4.0), Wait(8.0), Wait(16.0), GiveUp()]
    assert decide(K.RATE_LIMITED, 9, 5.0, 1.0, 0.0, 1e9) == Wait(65.0)
    assert decide(K.RATE_LIMITED, 10, 5.0, 1.0, 0.0, 1e9) == GiveUp()


def test_the_number_of_tries_can_be_chosen_but_not_for_what_must_not_be_tried_again() -> None:
    assert decide(K.TRANSIENT, 100, None, 0.0, 0.0, 1.0, attempts=1000) == Wait(0.0)
    assert decide(K.AMBIGUOUS, 1, None, 0.0, 0.0, 1.0, attempts=1000) == GiveUp()


def test_concurrency_halves_when_rate_limited_and_comes_back_by_ones() -> None:
    assert next_limit(8, 8, K.RATE_LIMITED) == 4
    assert next_limit(1, 8, K.RATE_LIMITED) == 1
    assert next_limit(4, 8, None) == 5
    assert next_limit(8, 8, None) == 8
    assert next_limit(8, 8, K.INVALID) == 8
