"""When a paid task is asked for: laws of the waits, and what experience is worth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.polling import LONGEST, SHORTEST, Experience, first_wait, next_wait

SECONDS = st.floats(0, 10_000)
CHANCE = st.floats(0, 1)
INTERVALS = st.none() | st.floats(0.05, 600)


def experienced(took: list[tuple[float | None, float]]) -> Experience:
    experience = Experience()
    for running, done in took:
        experience.learn(running, done)
    return experience


@given(SECONDS, CHANCE)
def test_without_an_interval_questions_are_as_far_apart_as_services_recommend(
    age: float, chance: float
) -> None:
    assert SHORTEST <= next_wait(None, age, 0.0, chance) <= LONGEST * 1.1


@given(st.floats(0.05, 600), SECONDS, CHANCE)
def test_questions_are_never_closer_than_the_configured_interval(
    interval: float, age: float, chance: float
) -> None:
    assert interval <= next_wait(interval, age, 0.0, chance) <= interval * 1.1 + 1e-9


@given(st.floats(40, 100), CHANCE)
def test_an_end_is_noticed_within_a_small_share_of_what_the_task_took(age: float, chance: float) -> None:
    assert next_wait(None, age, 0.0, chance) / 2 <= 0.03 * age


@given(INTERVALS, SECONDS, st.floats(0.001, 10), CHANCE)
def test_a_machine_that_does_not_keep_up_asks_less_often(
    interval: float | None, age: float, late: float, chance: float
) -> None:
    assert next_wait(interval, age, late, chance) > next_wait(interval, age, 0.0, chance)


@given(INTERVALS, SECONDS, CHANCE)
def test_a_first_question_comes_about_when_the_first_tasks_are_done(
    interval: float | None, soonest: float, chance: float
) -> None:
    least = SHORTEST if interval is None else interval
    wait = first_wait(interval, soonest, chance)
    assert least <= wait <= max(soonest, least * 1.5)
    assert wait >= 0.9 * soonest - least / 2


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(50, 100)), max_size=7))
def test_a_few_tasks_are_no_experience(took: list[tuple[float | None, float]]) -> None:
    assert experienced(took).soonest() == 0.0


@given(st.lists(st.tuples(st.none() | st.floats(0, 50), st.floats(50, 100)), min_size=8, max_size=200))
def test_nearly_all_tasks_take_longer_than_what_is_expected_of_the_soonest(
    took: list[tuple[float | None, float]],
) -> None:
    soonest = experienced(took).soonest()
    assert 0 < soonest <= 100
    assert sum(done < soonest for _, done in took[-64:]) <= 0.05 * 64 + 1


def test_a_service_that_has_become_faster_is_found_out() -> None:
    experience = experienced([(58.0, 62.0)] * 64)
    for _ in range(40):
        wait = first_wait(None, experience.soonest(), 0.5)
        experience.learn(None, max(wait, 20.0))
    assert experience.soonest() < 30
