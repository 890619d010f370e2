"""The live lines, as a function of events and time."""

from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from imgbuild.core.events import ActionEvent, ActionKind, Failure, ImageEvent, JobEvent, JobState, Status
from imgbuild.ui.progress import Progress, advance, frame
from imgbuild.ui.spans import render


def words(progress: Progress, now: float, width: int = 80, height: int = 10) -> list[str]:
    return [render(line, colour=False) for line in frame(progress, now, width, height)]


def told(*events) -> Progress:
    return reduce(lambda progress, event: advance(progress, event, 10.0), events, Progress(started=10.0))


ACTIONS = (
    ActionEvent("hero", ActionKind.GENERATE, cost=0.04, unit="USD"),
    ActionEvent("icon", ActionKind.DERIVE),
    ActionEvent("logo", ActionKind.CONFLICT),
    ActionEvent("still", ActionKind.NONE),
)


def test_running_images_and_the_sum():
    progress = told(*ACTIONS, JobEvent("hero", JobState.RUNNING, "studio", progress=0.5))
    assert words(progress, 75.0) == [
        "  ⠋ hero  studio  generating  1:05  ━━━━━━━━╌╌╌╌╌╌╌╌  50%",
        "  0/2 done, 0.00 of about 0.04 USD spent  1:05",
    ]


def test_a_line_that_has_no_room_goes_without_its_bar():
    progress = told(JobEvent("hero", JobState.RUNNING, "studio", progress=0.5))
    assert words(progress, 10.0, width=40)[0] == "  ⠋ hero  studio  generating  0:00"


def test_takes_are_lines_of_their_own_and_leave_with_their_image():
    progress = told(
        ACTIONS[0],
        JobEvent("hero", JobState.RUNNING, "studio"),
        JobEvent("hero", JobState.RETRYING, "studio", take=2, detail="too many requests"),
    )
    assert words(progress, 10.0)[1] == "  ⠋ hero  studio take 2  retrying (too many requests)  0:00"
    done = advance(progress, ImageEvent("hero", Status.GENERATED, cost=0.04), 12.0)
    assert words(done, 12.0) == ["  1/1 done, 0.04 of about 0.04 USD spent  0:02"]


def test_failures_and_unknown_prices_are_counted():
    progress = told(
        ActionEvent("a", ActionKind.GENERATE, cost=None),
        ImageEvent("a", Status.FAILED, error=Failure("refused", "no")),
    )
    assert words(progress, 10.0) == ["  1/1 done, 1 failed, some prices unknown  0:00"]


@given(st.integers(0, 60), st.integers(3, 30))
def test_there_are_never_more_lines_than_fit(count, height):
    progress = told(*(JobEvent(f"image{n}", JobState.RUNNING, "studio") for n in range(count)))
    lines = words(progress, 10.0, height=height)
    assert len(lines) <= height
    shown = sum(" generating " in line for line in lines)
    hidden = next((int(line.split()[1]) for line in lines if line.startswith("  and ")), 0)
    assert shown + hidden == count
