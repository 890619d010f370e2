"""Events in words, as people see them."""

from __future__ import annotations

import pytest

from imgbuild.core.events import (
    ActionEvent,
    ActionKind,
    Cause,
    Failure,
    ImageEvent,
    JobEvent,
    JobState,
    Reason,
    Status,
    SummaryEvent,
    WarningEvent,
)
from imgbuild.ui.spans import render
from imgbuild.ui.words import action_lines, build_start, build_sum, image_lines, job_line, plan_lines

NEW = Reason("id", None, "hero", Cause.NEW)
HERO = ActionEvent(
    "hero",
    ActionKind.GENERATE,
    (NEW,),
    0.04,
    "USD",
    ("generate 1360x768, crop to 1200x630",),
    ("static/hero.png",),
)


def words(lines) -> str:
    return "\n".join(render(line, colour=False) for line in lines)


def test_a_plan_is_a_block_an_image_and_a_sum():
    actions = [
        HERO,
        ActionEvent(
            "sprite[item=sword]",
            ActionKind.GENERATE,
            (
                Reason("prompt", "a sword, warm light", "a sword, cold light"),
                Reason("quality", "low", "high"),
                Reason("seed", None, 7),
            ),
            0.08,
            "USD",
        ),
        ActionEvent(
            "og[hello]",
            ActionKind.DERIVE,
            (Reason("size", "1200x600", "1200x630"),),
            outputs=("static/og/hello.jpg",),
        ),
        ActionEvent("logo", ActionKind.RESTORE, (Reason("output", None, "logo.png", Cause.OUTPUT_MISSING),)),
        ActionEvent("old", ActionKind.REMOVE, (Reason("id", "old", None, Cause.DROPPED),)),
        ActionEvent("still", ActionKind.NONE),
    ]
    summary = SummaryEvent(generated=2, derived=1, restored=1, unchanged=40, cost=0.12)
    warnings = [WarningEvent("the price is an estimate of 2026-11-01", "hero")]
    assert (
        words(plan_lines(actions, warnings, summary))
        == """\
+ hero                new, generate 1360x768, crop to 1200x630  about 0.04 USD
+ sprite[item=sword]  generate  about 0.08 USD
    prompt: "a sword, warm light" -> "a sword, cold light"
    quality: low -> high
    seed: not set -> 7
~ og[hello]           derive
    size: 1200x600 -> 1200x630
> logo                restore from the cache
    logo.png is missing
- old                 drop from the lock, files stay
    no longer in the manifest
warning: hero: the price is an estimate of 2026-11-01

2 to generate (about 0.12 USD), 1 to derive, 1 to restore, 1 to drop from the lock, 40 unchanged"""
    )


def test_a_conflict_says_what_to_do():
    edited = Reason("output", "a" * 64, "b" * 64, Cause.OUTPUT_EDITED)
    action = ActionEvent("logo", ActionKind.CONFLICT, (edited,), outputs=("static/logo.png",))
    assert (
        words(action_lines(action))
        == """\
! logo  left alone
    static/logo.png was changed by hand
    imgbuild adopt accepts your file, build --overwrite replaces it (your bytes go into the cache first)"""
    )


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        (SummaryEvent(unchanged=40), "40 images, nothing to do"),
        (SummaryEvent(unchanged=1), "1 image, nothing to do"),
        (SummaryEvent(), "no images, nothing to do"),
    ],
)
def test_nothing_to_do_is_one_line(summary, expected):
    assert words(plan_lines([], [], summary)) == expected
    assert words([build_sum(summary)]) == expected


def test_an_unknown_price_is_never_shown_as_free():
    unknown = ActionEvent("a", ActionKind.GENERATE, (NEW,), None, "USD")
    assert "+ a  new, generate  price unknown" in words(action_lines(unknown))
    assert words([build_start([unknown])]) == "1 to generate (price unknown)"
    assert words([build_start([unknown, HERO])]) == "2 to generate (about 0.04 USD, 1 of unknown price)"


def test_long_texts_are_shown_where_they_differ():
    start = "flat vector, muted palette, generous empty space, a city skyline at"
    end = "with soft light, long shadows and a calm sea in the foreground"
    action = ActionEvent(
        "hero", ActionKind.GENERATE, (Reason("prompt", f"{start} noon {end}", f"{start} dusk {end}"),), 0.0
    )
    assert (
        words(action_lines(action))
        == """\
+ hero  generate
    prompt: …city skyline at noon with soft… -> …city skyline at dusk with soft…"""
    )
    full = words(action_lines(action, full=True))
    assert f'- "{start} noon {end}"' in full
    assert f'+ "{start} dusk {end}"' in full


def test_every_cause_has_words():
    for cause in Cause:
        text = words(action_lines(ActionEvent("x", ActionKind.DERIVE, (Reason("takes", "a", "b", cause),))))
        assert cause is Cause.NEW or len(text.splitlines()) == 2
        assert "None" not in text


def test_a_build_ends_with_what_it_did():
    summary = SummaryEvent(generated=3, unchanged=40, cost=0.12, seconds=12.34)
    assert words([build_sum(summary)]) == "3 generated, 40 unchanged in 12.3 s, 0.12 USD"
    summary = SummaryEvent(generated=2, resumed=1, failed=1, conflicts=1, seconds=125, cost=5, unit="units")
    expected = "2 generated (1 resumed), 1 in conflict, 1 failed in 2 min 5 s, 5 units"
    assert words([build_sum(summary)]) == expected


def test_an_image_is_a_line_and_a_failure_says_what_may_be_done():
    done = ImageEvent("hero", Status.GENERATED, ("a.png", "b.webp"), cost=0.04)
    assert words(image_lines(done)) == "generated  hero  a.png, b.webp  0.04 USD"
    failed = ImageEvent(
        "hero", Status.FAILED, (), Failure("ambiguous", "no answer after the request was sent")
    )
    assert words(image_lines(failed)) == "   failed  hero (ambiguous): no answer after the request was sent"


def test_a_change_of_state_names_take_and_progress():
    event = JobEvent("hero", JobState.RUNNING, "studio", take=2, detail="processing", progress=0.37)
    assert words([job_line(event)]).strip() == "hero take 2: generating 37% (processing), studio"


def test_what_comes_from_outside_cannot_move_the_cursor():
    evil = "\x1b]52;c;AAAA\x07\x1b[2J\r\n\u202egpj"
    failed = ImageEvent(evil, Status.FAILED, (), Failure("refused", evil))
    changed = ActionEvent(
        evil, ActionKind.GENERATE, (Reason("prompt", evil, evil + "!"),), 0.1, evil, (evil,)
    )
    for text in (words(image_lines(failed)), words(plan_lines([changed], [], SummaryEvent(generated=1)))):
        assert not any(character in text for character in "\x1b\x07\r\u202e")


def test_colours_surround_the_words_and_change_none():
    for line in plan_lines([HERO], [], SummaryEvent(generated=1, cost=0.04)):
        coloured = render(line, colour=True)
        for code in ("0", "1", "2", "32", "36", "31"):
            coloured = coloured.replace(f"\x1b[{code}m", "")
        assert coloured.rstrip() == render(line, colour=False)
