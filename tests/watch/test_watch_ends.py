"""How a session begins, ends, and gets on where the system tells of no changes."""

from __future__ import annotations

import shutil
import signal
import subprocess

import pytest
from project_folder import STUDIO
from watch_session import until
from watching import in_full

CARD = "version: 1\nimages: {hero: {prompt: a harbour, size: 64x64, output: out/hero.png}}\n"
HERO = "images: {hero: {prompt: a harbour, size: 64x64, output: out/hero.png}}\n"
SYNCHRONOUS = """\
version: 1
providers:
  studio: {{type: openai, base_url: "{url}/v1", api_key: "${{STUDIO_KEY}}", timeout: 30s}}
defaults: {{provider: studio, model: gpt-image-2, quality: low}}
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_an_idle_session(project, watch, number, code):
    project.manifest(CARD)
    session = watch(project)
    session.round()
    session.signal(number)
    assert session.ended() == code


def test_ending_leaves_a_task_to_the_next_build(project, start_emulator, watch):
    emulator = start_emulator(latency=2, jitter=0)
    project.manifest(STUDIO.format(url=emulator.url) + HERO)
    session = watch(project)
    session.until(lambda: any(e.get("state") == "running" for e in session.events), "the task")
    assert session.stop() == 130
    assert "in flight, and gone on with by the next build: hero" in session.warnings()
    run = project.json("build")
    assert run.counts() == {"generated": 1}
    assert run.summary["resumed"] == 1
    assert len(emulator.ledger()["charges"]) == 1


def test_ending_waits_for_an_answer_that_is_being_paid_for(project, start_emulator, watch):
    emulator = start_emulator(latency=1, jitter=0)
    project.manifest(SYNCHRONOUS.format(url=emulator.url) + HERO)
    session = watch(project)
    until(lambda: emulator.ledger()["charges"], "the submission")
    session.signal(signal.SIGINT)
    session.until(lambda: any(e["event"] == "stopping" for e in session.events), "the countdown")
    assert session.ended() == 130
    assert project.lock["images"].keys() == {"hero"}
    assert project.json("build").counts() == {"unchanged": 1}
    assert len(emulator.ledger()["charges"]) == 1


def test_a_second_signal_ends_at_once(project, start_emulator, watch):
    emulator = start_emulator(latency=600, jitter=0)
    project.manifest(SYNCHRONOUS.format(url=emulator.url) + HERO)
    session = watch(project)
    until(lambda: emulator.ledger()["charges"], "the submission")
    session.signal(signal.SIGINT)
    session.until(lambda: any(e["event"] == "stopping" for e in session.events), "the countdown")
    session.signal(signal.SIGINT)
    assert session.ended() == 130
    assert any("may have been charged" in warning for warning in session.warnings())


def test_on_ci_there_is_nothing_to_watch_for(project):
    project.manifest(CARD)
    run = project.run("watch", CI="true")
    assert run.code == 2
    assert "with CI=true nothing is generated" in run.err


def test_a_target_that_means_nothing_is_an_error_at_the_start(project):
    project.manifest(CARD)
    run = project.run("watch", "heros")
    assert run.code == 2
    assert 'did you mean "hero"' in run.err


def test_only_the_targets_are_built(project, watch):
    project.manifest(
        "version: 1\nimages:\n"
        "  hero: {prompt: a harbour, size: 64x64, output: out/hero.png}\n"
        "  icon: {prompt: a lighthouse, size: 64x64, output: out/icon.png}\n"
    )
    session = watch(project, "icon")
    assert session.round() == {"generated": 1}
    project.edit("a harbour", "a port")
    assert session.round() == {}
    project.edit("a lighthouse", "a beacon")
    assert session.round() == {"generated": 1}
    assert project.lock["images"].keys() == {"icon"}


def test_placeholders_are_drawn_without_a_lock(project, emulator, watch):
    project.manifest(STUDIO.format(url=emulator.url) + HERO)
    session = watch(project, "--placeholder")
    assert session.round() == {"generated": 1}
    project.edit("a harbour", "a port")
    assert session.round() == {"generated": 1}
    assert not (project.root / "imgbuild.lock").exists()
    assert emulator.ledger()["charges"] == []


def test_a_profile_has_its_own_lock(project, watch):
    project.manifest(CARD + "profiles: {draft: {vars: {x: y}}}\n")
    session = watch(project, "--profile", "draft")
    session.round()
    project.edit("a harbour", "a port")
    assert session.round() == {"generated": 1}
    assert (project.root / "imgbuild.draft.lock").exists()
    assert not (project.root / "imgbuild.lock").exists()


def test_where_the_system_tells_nothing_the_session_looks_by_itself(project, watch):
    project.manifest(CARD)
    session = watch(project, WATCHFILES_FORCE_POLLING="true", WATCHFILES_POLL_DELAY_MS="50")
    session.round()
    project.edit("a harbour", "a port")
    assert session.round() == {"generated": 1}
    project.edit("a port", "a quay")
    assert session.round() == {"generated": 1}


def test_a_key_that_is_missing_may_come_with_the_env_file(project, emulator, watch):
    project.manifest(CARD)
    session = watch(project)
    session.round()
    project.manifest(STUDIO.format(url=emulator.url).replace("STUDIO_KEY", "OTHER_KEY") + HERO)
    session.until(session.errors)
    assert "needs the variable OTHER_KEY" in session.errors()[0]
    project.write(".env", "OTHER_KEY=sk-canary-7f3a\n")
    assert session.round() == {"generated": 1, "submitted": 1}


@pytest.mark.skipif(not shutil.which("unshare"), reason="Linux only")
@pytest.mark.parametrize(
    "limit", ["max_inotify_watches", pytest.param("max_inotify_instances", marks=in_full)]
)
def test_where_the_system_follows_no_more_folders_it_says_so_and_looks_by_itself(project, watch, limit):
    lowered = f"echo 0 > /proc/sys/user/{limit}"
    if subprocess.run(["unshare", "-Ur", "sh", "-c", lowered], capture_output=True).returncode:
        pytest.skip("no limits of its own for a process here")
    project.manifest(CARD)
    session = watch(project, around=["unshare", "-Ur", "sh", "-c", f'{lowered}; exec "$@"', "sh"])
    session.round()
    assert "the system tells of no changes" in session.warnings()[0]
    project.edit("a harbour", "a port")
    assert session.round() == {"generated": 1}
    project.edit("a port", "a quay")
    assert session.round() == {"generated": 1}
