"""What a session pays for: what was sent arrives, what was only queued is taken back, and no key is sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from project_folder import STUDIO, ProjectFolder
from terminal import Terminal
from watch_session import until
from watching import in_full

SYNCHRONOUS = """\
version: 1
providers:
  studio: {{type: openai, base_url: "{url}/v1", api_key: "${{STUDIO_KEY}}"}}
defaults: {{provider: studio, model: gpt-image-2, quality: low}}
"""
ONE_AT_A_TIME = "poll_interval: 50ms\n    concurrency: 1"


def images(prompts: Mapping[str, str]) -> str:
    lines = (f"  {id}: {{prompt: {p}, size: 64x64, output: out/{id}.png}}\n" for id, p in prompts.items())
    return "images:\n" + "".join(lines)


def write(project: ProjectFolder, url: str, prompts: Mapping[str, str], head: str = STUDIO) -> None:
    project.manifest(head.format(url=url).replace("poll_interval: 50ms", ONE_AT_A_TIME) + images(prompts))


def paid(emulator) -> dict[str, int]:
    return dict(Counter(charge["prompt"] for charge in emulator.ledger()["charges"]))


def test_what_is_queued_is_taken_back_and_what_was_sent_is_joined(project, start_emulator, watch):
    emulator = start_emulator(latency=1, jitter=0)
    write(project, emulator.url, {"a": "one", "b": "two", "c": "three"})
    session = watch(project)
    until(lambda: paid(emulator), "the first submission")
    # The first is in flight; the last has not been sent yet, and never is as it was.
    write(project, emulator.url, {"a": "one", "b": "two", "c": "four"})
    assert session.round() == {"generated": 3, "submitted": 3}
    assert paid(emulator) == {"one": 1, "two": 1, "four": 1}
    assert session.stop() == 130
    assert project.json("build").counts() == {"unchanged": 3}


@pytest.mark.parametrize(
    "head", [STUDIO, pytest.param(SYNCHRONOUS, marks=in_full)], ids=["task", "synchronous"]
)
def test_what_was_sent_is_kept_although_its_image_has_moved_on(project, start_emulator, watch, head):
    emulator = start_emulator(latency=1, jitter=0)
    write(project, emulator.url, {"a": "one"}, head)
    session = watch(project)
    until(lambda: paid(emulator), "the first submission")
    write(project, emulator.url, {"a": "two"}, head)
    assert session.round() == {"generated": 1, "submitted": 2}
    write(project, emulator.url, {"a": "one"}, head)
    assert session.round() == {"derived": 1}
    assert paid(emulator) == {"one": 1, "two": 1}
    assert session.stop() == 130


@pytest.mark.parametrize(
    "head", [pytest.param(STUDIO, marks=in_full), SYNCHRONOUS], ids=["task", "synchronous"]
)
def test_going_back_while_it_is_in_flight_waits_for_it(project, start_emulator, watch, head):
    emulator = start_emulator(latency=1.5, jitter=0)

    def plans() -> list[dict]:
        return [event for event in session.events if event["event"] == "action"]

    write(project, emulator.url, {"a": "one"}, head)
    session = watch(project)
    until(lambda: paid(emulator), "the first submission")
    write(project, emulator.url, {"a": "one", "b": "another"}, head)
    session.until(lambda: len(plans()) == 3, "the second round")
    assert plans()[1]["notes"] == ["it is on its way"]
    assert session.round() == {"generated": 2, "submitted": 2}
    assert paid(emulator) == {"one": 1, "another": 1}


def test_a_broken_manifest_stops_nothing_that_is_under_way(project, start_emulator, watch):
    emulator = start_emulator(latency=1, jitter=0)
    write(project, emulator.url, {"a": "one", "b": "two"})
    session = watch(project)
    until(lambda: paid(emulator), "the first submission")
    text = project.read("imgbuild.yaml").decode()
    project.manifest(text + "  c: [\n")
    session.until(session.errors)
    assert session.round() == {"generated": 2, "submitted": 2}
    project.manifest(text)
    assert session.round() == {}
    assert len(session.errors()) == 1


def test_what_was_refused_is_not_sent_again_by_the_next_save(project, emulator, watch):
    write(project, emulator.url, {"a": "'[fault:refuse] one'", "b": "two"})
    session = watch(project)
    assert session.round() == {"generated": 1, "failed": 1, "submitted": 2}
    write(project, emulator.url, {"a": "'[fault:refuse] one'", "b": "three"})
    assert session.round() == {"generated": 1, "failed": 1, "submitted": 1}
    write(project, emulator.url, {"a": "one", "b": "three"})
    assert session.round() == {"generated": 1, "submitted": 1}


def test_at_the_limit_free_work_goes_on(project, emulator, watch):
    write(project, emulator.url, {"a": "one", "b": "two"})
    session = watch(project, "--max-cost", "0.03")
    assert session.round() == {"generated": 2, "submitted": 2}
    write(project, emulator.url, {"a": "three", "b": "four"})
    assert session.round() == {"generated": 1, "failed": 1, "submitted": 1}
    write(project, emulator.url, {"a": "three", "b": "five"})
    assert session.round() == {}
    assert "b: is not generated: the limit of this session is reached" in session.warnings()[-1]
    write(project, emulator.url, {"a": "one", "b": "two"})
    assert session.round() == {"restored": 1}
    assert len(emulator.ledger()["charges"]) == 3


def with_question(project: ProjectFolder, url: str, prompts: Mapping[str, str]) -> None:
    write(project, url, prompts, STUDIO + "budget: {{confirm_above: 0.015}}\n")


def test_what_costs_more_than_was_agreed_to_waits_where_nobody_can_be_asked(project, emulator, watch):
    with_question(project, emulator.url, {"a": "one"})
    session = watch(project)
    assert session.round() == {"generated": 1, "submitted": 1}
    with_question(project, emulator.url, {"a": "two", "b": "three"})
    assert session.round() == {}
    assert session.warnings() == [
        "a, b: are not generated: about 0.02 USD is more than confirm_above (0.015); --yes agrees"
    ]
    with_question(project, emulator.url, {"a": "two"})
    assert session.round() == {"generated": 1, "submitted": 1}
    session.stop()
    with_question(project, emulator.url, {"a": "four", "b": "five"})
    agreed = watch(project, "--yes")
    assert agreed.round() == {"generated": 2, "submitted": 2}


def test_a_save_withdraws_a_question_and_it_is_asked_anew(project, emulator):
    with_question(project, emulator.url, {"a": "one", "b": "two"})
    with Terminal(project.root, project.environ, "watch") as terminal:
        until(lambda: "This costs about 0.02 USD for 2 images. Generate?" in terminal.said)
        with_question(project, emulator.url, {"a": "one", "b": "two", "c": "three"})
        until(lambda: "This costs about 0.03 USD for 3 images. Generate?" in terminal.said)
        assert emulator.ledger()["charges"] == []
        terminal.type("y\n")
        until(lambda: "3 generated" in terminal.said)
        terminal.type("\x03")
        assert terminal.code() == 130
    assert paid(emulator) == {"one": 1, "two": 1, "three": 1}


def test_who_says_no_is_not_asked_again_about_the_same(project, emulator):
    with_question(project, emulator.url, {"a": "one", "b": "two"})
    with Terminal(project.root, project.environ, "watch") as terminal:
        until(lambda: "Generate?" in terminal.said)
        terminal.type("n\n")
        until(lambda: "a, b: are not generated: not confirmed (about 0.02 USD)" in terminal.said)
        until(lambda: "watching" in terminal.said)
        terminal.type("\x03")
        assert terminal.code() == 130
    assert emulator.ledger()["charges"] == []


def test_an_address_is_asked_about_once_and_no_is_an_error(project, emulator):
    project.manifest(STUDIO.format(url="https://pictures.invalid") + images({"a": "one"}))
    with Terminal(project.root, project.environ, "watch") as terminal:
        until(lambda: "May the key of studio be sent to https://pictures.invalid" in terminal.said)
        terminal.type("n\n")
        until(lambda: "which you have not trusted yet" in terminal.said)
        write(project, emulator.url, {"a": "one"})
        until(lambda: "1 generated" in terminal.said)
        terminal.type("\x03")
        assert terminal.code() == 130
