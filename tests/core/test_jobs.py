"""The life of a paid task: whatever prefix of its story is left, it is never taken for less than it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core import jobs
from imgbuild.core.errors import FailureKind
from imgbuild.core.jobs import End, OpenJob, Stage

JOB = OpenJob(
    id="a1",
    key="0" * 64,
    takes=(1, 2),
    stage=Stage.UNKNOWN,
    provider="uniall",
    origin="https://a.example",
    image_id="hero",
    project="/home/me/site",
    since="2026-11-21T10:00:00+00:00",
    cost=0.02,
    unit="USD",
    draft={"spec": {"prompt": "p"}},
)
STORY = [
    jobs.intent(JOB),
    jobs.submitted("a1", "task-1"),
    jobs.expired("a1"),
    jobs.ready("a1", 1, {"digest": "x"}),
    jobs.ready("a1", 2, {"digest": "y"}),
    jobs.closed("a1", End.STORED),
]
STAGES = [None, Stage.UNKNOWN, Stage.SUBMITTED, Stage.EXPIRED, Stage.READY, Stage.READY, None]


@pytest.mark.parametrize("length", range(len(STORY) + 1))
def test_each_step_is_what_was_written_last(length: int):
    found = jobs.replay(STORY[:length])
    assert [job.stage for job in found] == ([STAGES[length]] if STAGES[length] else [])
    if length > 1 and found:
        assert found[0].task_id == "task-1"
        assert found[0].can_be_asked_for
    assert all(job.takes == (1, 2) and job.draft == JOB.draft for job in found)


@given(st.lists(st.sampled_from(STORY[1:-1]), max_size=8))
def test_only_a_closing_line_ends_a_job(events):
    assert [job.id for job in jobs.replay([STORY[0], *events])] == ["a1"]
    assert jobs.replay([STORY[0], *events, STORY[-1]]) == ()


@given(st.permutations(["a", "b", "c"]), st.data())
def test_jobs_do_not_disturb_each_other(names, data):
    stories = {name: [{**event, "job": name} for event in STORY] for name in names}
    lengths = {name: data.draw(st.integers(0, len(STORY))) for name in names}
    left = {name: list(stories[name][: lengths[name]]) for name in names}
    mixed = []
    while any(left.values()):
        mixed.append(left[data.draw(st.sampled_from([name for name in names if left[name]]))].pop(0))
    alone = {job.id: job for name in names for job in jobs.replay(stories[name][: lengths[name]])}
    assert {job.id: job for job in jobs.replay(mixed)} == alone


@pytest.mark.parametrize(
    "event",
    [
        {"version": 2, "event": "submitted", "job": "a1", "task": "t"},
        {"event": "submitted", "job": "a1", "task": "t"},
        {"version": 1, "event": "moved", "job": "a1"},
        {"version": 1, "event": "submitted", "job": "a1"},
        {"version": 1, "event": "submitted", "task": "t"},
        {"version": 1, "event": "intent", "job": "a2", "key": "k"},
    ],
)
def test_a_line_that_is_not_understood_is_no_reason_to_pay(event):
    with pytest.raises(ValueError, match=r"."):
        jobs.replay([STORY[0], event])


@pytest.mark.parametrize("kind", FailureKind)
def test_an_accepted_job_is_over_only_when_the_service_said_so(kind: FailureKind):
    named = jobs.replay(STORY[:2])[0]
    over = {FailureKind.REFUSED, FailureKind.FAILED, FailureKind.INVALID}
    assert (jobs.after_acceptance(named, kind) is End.FAILED) == (kind in over)
    assert jobs.after_acceptance(JOB, kind) is (End.FAILED if kind in over else Stage.UNKNOWN)
