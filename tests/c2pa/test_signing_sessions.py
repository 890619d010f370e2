"""Signing where a build is not alone: in a session of `watch`, and on a cache that machines share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from project_folder import ProjectFolder
from signed_files import FILES, read_independently
from watch_session import WatchSession

pytest.importorskip("c2pa")


@pytest.fixture
def session(signed: ProjectFolder) -> Iterator[WatchSession]:
    running = WatchSession(signed.root, signed.environ)
    yield running
    running.kill()


def summary(session: WatchSession, number: int) -> dict:
    found: dict = session.until(
        lambda: len(session.summaries()) >= number and session.summaries()[number - 1]
    )
    return found


def test_a_session_signs_what_it_makes(signed: ProjectFolder, session: WatchSession, emulator):
    assert summary(session, 1)["generated"] == 1
    first = signed.read("out/hero.png")
    assert read_independently(first, "png")["failures"] == set()
    signed.edit("size: 96x64", "size: 64x48")
    assert summary(session, 2)["derived"] == 1
    assert read_independently(signed.read("out/hero.png"), "png")["failures"] == set()
    signed.edit("size: 64x48", "size: 96x64")
    assert summary(session, 3)["restored"] == 1
    assert signed.read("out/hero.png") == first
    assert session.stop() == 130
    assert len(emulator.ledger()["charges"]) == 1


def test_a_session_without_the_key_sends_nothing(signed: ProjectFolder, emulator):
    del signed.environ["IMGBUILD_C2PA_KEY"]
    session = WatchSession(signed.root, signed.environ)
    try:
        assert session.ended() == 2
        [error] = [event for event in session.events if event["event"] == "error"]
        assert "IMGBUILD_C2PA_KEY" in error["message"]
        assert emulator.ledger()["requests"] == {}
    finally:
        session.kill()


def test_what_one_machine_signed_another_has_from_the_shared_cache(
    signed: ProjectFolder, copy_project: Callable[..., ProjectFolder], tmp_path: Path, emulator
):
    pytest.importorskip("obstore")
    (tmp_path / "remote").mkdir()
    signed.edit("images:\n", f"cache: {{remote: 'file://{tmp_path}/remote'}}\nimages:\n")
    signed.json("build")
    other = copy_project(signed, "other", cache="other-cache")
    assert "IMGBUILD_C2PA_KEY" not in other.environ
    (other.root / "imgbuild.lock").unlink()
    # Nor does it need the lock: what the recipe gave is known by the recipe.
    other.json("build")
    assert {path: other.read(path) for path in FILES} == {path: signed.read(path) for path in FILES}
    assert other.lock == signed.lock
    assert len(emulator.ledger()["charges"]) == 1
