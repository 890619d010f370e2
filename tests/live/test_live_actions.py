"""What the page has done, asked for as the page does; the bill and the lock say what came of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from live_session import LiveSession, page_of
from painted import painted
from project_folder import STUDIO
from terminal import Terminal
from watch_session import until

FREE = """\
version: 1
images:
  mine: {prompt: a quiet harbour, size: 64x32, output: out/mine.png}
  sky: {prompt: a quiet sky, size: 64x32, takes: 2, output: out/sky.png}
"""
IMAGES = """\
images:
  hero: {prompt: a quiet harbour, size: 64x32, takes: 2, output: out/hero.png}
"""


def act(page, name: str, **words):
    return page.post(f"/actions/{name}", json=words)


def problem(answer) -> str:
    assert answer.status_code == 422, answer.text
    return answer.json()["problems"][0]["message"]


def upload(page, content: bytes, **query):
    return page.post("/actions/adopt", params={"id": "mine", "name": "mine.png", **query}, content=content)


def test_a_reroll_is_quoted_obeys_the_sessions_purse_and_arrives_also_at_the_end(
    project, start_emulator, live
):
    emulator = start_emulator(latency=0.8, jitter=0)

    def paid() -> int:
        return emulator.ledger()["total"]["images"]

    project.manifest(STUDIO.format(url=emulator.url) + "budget: {max_cost: 0.045}\n" + IMAGES)
    session = live(project)
    until(session.summaries, "the first round")
    assert paid() == 2
    with session.client() as page:
        quote = act(page, "reroll", id="hero", count=1).json()["quote"]
        assert quote == {"cost": 0.01, "unit": "USD", "count": 1}
        # Less was agreed to than it costs by now: it is asked about again.
        assert act(page, "reroll", id="hero", count=1, agreed=0.005).json() == {"quote": quote}
        assert paid() == 2
        assert act(page, "reroll", id="hero", count=1, agreed=0.01).json() == {"ok": True, "failures": []}
        assert project.lock["images"]["hero"]["take"] == 3
        assert "limit of 0.045" in problem(act(page, "reroll", id="hero", count=2, agreed=1))
        assert paid() == 3
        # Whoever asked leaves, and the session is ended: what is paid for arrives all the same.
        with pytest.raises(httpx.ReadTimeout):
            page.post("/actions/reroll", json={"id": "hero", "count": 1, "agreed": 1}, timeout=0.5)
        until(lambda: paid() == 4, "the submission")
        assert session.stop() == 130
    assert project.json("build").counts() == {"unchanged": 1}
    assert paid() == 4


def test_a_reroll_that_failed_gives_back_what_was_set_aside(project, start_emulator, live):
    emulator = start_emulator(fault=("402",), latency=0)
    manifest = (
        STUDIO.format(url=emulator.url)
        + "budget: {max_cost: 0.02}\n"
        + IMAGES.replace("takes: 2", "takes: 1")
    )
    project.manifest(manifest)
    session = live(project)
    until(session.summaries, "the first round")
    with session.client() as page:
        for _ in range(4):
            done = act(page, "reroll", id="hero", count=1, agreed=1).json()
            assert done["ok"] is False
            assert done["failures"][0]["kind"] == "credit"
    assert session.stop() == 130
    assert emulator.ledger()["charges"] == []


@pytest.fixture(scope="module")
def free(tmp_path_factory) -> Iterator[LiveSession]:
    """A session without a service, and with an editor that writes down what it is asked for."""
    home = tmp_path_factory.mktemp("free")
    root = home / "project"
    root.mkdir()
    (root / "imgbuild.yaml").write_text(FREE)
    (root / "secret.txt").write_text("x")
    editor = home / "code"
    editor.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{home}/asked.new" && mv "{home}/asked.new" "{home}/asked"\n'
    )
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    (home / "xdg-open").symlink_to(editor)
    environ = {
        "PATH": f"{home}:{os.environ['PATH']}",
        "HOME": str(home),
        "IMGBUILD_CACHE_DIR": str(home / "cache"),
        "VISUAL": str(editor),
        "PYTHONWARNINGS": "error",
    }
    session = LiveSession(root, environ)
    until(session.summaries, "the first round")
    yield session
    session.kill()


def lock(session: LiveSession) -> dict[str, Any]:
    images: dict[str, Any] = json.loads((session.root / "imgbuild.lock").read_text())["images"]
    return images


def locked_digest(session: LiveSession) -> str:
    digest: str = lock(session)["mine"]["outputs"]["out/mine.png"]["digest"]
    return digest


def test_an_upload_becomes_the_image_and_a_changed_file_is_not_lost(free):
    output = free.root / "out/mine.png"
    with free.client() as page:
        assert upload(page, painted(64, 32)).json() == {"ok": True, "failures": []}
        assert lock(free)["mine"]["provider"] == "adopted"
        # Somebody retouches the output, and uploads another file all the same.
        retouched = painted(64, 32, (9, 9, 9))
        output.write_bytes(retouched)
        done = upload(page, painted(64, 32, (1, 2, 3))).json()
        assert (done["ok"], done["failures"][0]["kind"]) == (False, "conflict")
        assert output.read_bytes() == retouched
        assert act(page, "keep", id="mine").json()["ok"] is True
        assert output.read_bytes() == retouched
        kept = locked_digest(free)
        assert upload(page, painted(64, 32, (1, 2, 3)), overwrite="").json()["ok"] is True
        assert locked_digest(free) != kept

        # A round that was planned just before may still restore what was accepted until then: the lock wins.
        def as_locked() -> bool:
            return hashlib.sha256(output.read_bytes()).hexdigest() == locked_digest(free)

        until(as_locked, "the accepted file")


def test_earlier_results_are_told_with_their_words_and_can_be_picked(free):
    manifest = free.root / "imgbuild.yaml"
    manifest.write_text(manifest.read_text().replace("a quiet sky", "a busy sky"))
    with free.client() as page:

        def about_sky() -> dict[str, Any]:
            about: dict[str, Any] = page.get("/image", params={"id": "sky"}).json()
            return about

        def current() -> list[str]:
            return [one["prompt"] for one in about_sky()["takes"] if not one["earlier"]]

        until(lambda: current() == ["a busy sky"] * 2, "the second round")
        about = about_sky()
        assert about["declared"] == "imgbuild.yaml:4"
        picture = page.get(f"/blob/{about['takes'][1]['digest']}")
        assert picture.headers["content-type"] == "image/png"
        assert act(page, "pick", id="sky", take=2).json()["ok"] is True
        assert lock(free)["sky"]["take"] == 2
        assert act(page, "pick", id="sky", take=about["takes"][0]["handle"]).json()["ok"] is True
        assert lock(free)["sky"]["take"] == 1
        assert "has no take 9" in problem(act(page, "pick", id="sky", take=9))


def test_a_note_stands_in_a_file_that_git_shows_and_generates_nothing(free):
    file = free.root / "imgbuild.notes.json"
    before, rounds = (free.root / "imgbuild.lock").read_bytes(), len(free.summaries())
    with free.client() as page:
        assert act(page, "note", id="sky", text=" less fog\nand a boat ").json() == {"ok": True}
        assert json.loads(file.read_bytes()) == {"notes": {"sky": "less fog\nand a boat"}, "version": 1}
        assert act(page, "note", id="sky", text="").json() == {"ok": True}
        assert json.loads(file.read_bytes())["notes"] == {}
        assert "2000 characters" in problem(act(page, "note", id="sky", text="x" * 2001))
        assert "no image" in problem(act(page, "note", id="nobody", text="x"))
        file.write_text("<<<<<<< mine")
        assert "imgbuild.notes.json is not valid JSON" in problem(act(page, "note", id="sky", text="x"))
        with page.stream("GET", "/events") as events:
            act(page, "pick", id="sky", take=1)
            assert any("imgbuild.notes.json is not valid JSON" in line for line in events.iter_lines())
        file.unlink()
    assert (free.root / "imgbuild.lock").read_bytes() == before
    assert all(one["generated"] == 0 for one in free.summaries()[rounds:])


def test_the_editor_is_given_the_manifests_line_and_only_declared_files(free):
    asked = free.root.parent / "asked"
    with free.client() as page:
        assert act(page, "open", id="sky").json() == {"ok": True}
        until(asked.exists, "the editor")
        assert asked.read_text().splitlines() == ["--goto", f"{free.root}/imgbuild.yaml:4"]
        if sys.platform == "linux":
            asked.unlink()
            assert act(page, "open", id="sky", path="out/sky.png").json() == {"ok": True}
            until(asked.exists, "the system's opener")
            assert asked.read_text().splitlines() == [f"{free.root}/out/sky.png"]
        for other in ("secret.txt", "../secret", "/etc/passwd", "imgbuild.yaml", "", "out/mine.png"):
            assert "no such file" in problem(act(page, "open", id="sky", path=other))


def test_with_placeholders_there_is_nothing_to_choose(project, live):
    project.manifest("version: 1\n" + IMAGES)
    session = live(project, "--placeholder")
    until(session.summaries, "the first round")
    with session.client() as page:
        assert "--placeholder" in problem(act(page, "pick", id="hero", take=1))
    assert session.stop() == 130
    assert not (project.root / "imgbuild.lock").exists()


@pytest.mark.parametrize("from_the_page", [True, False], ids=["page", "terminal"])
def test_the_first_answer_counts_whoever_gives_it(project, emulator, from_the_page):
    project.manifest(STUDIO.format(url=emulator.url) + "budget: {confirm_above: 0}\n" + IMAGES)
    words = ("watch", "--ui", "--port", "0", "--no-open")
    with Terminal(project.root, project.environ, *words) as terminal:
        until(lambda: "Generate?" in terminal.said, "the question")
        address = re.search(r"(http://127\.0\.0\.1:\d+)/open#(\S+)", terminal.said)
        assert address is not None
        with page_of(address[1], address[2]) as page:
            if from_the_page:
                assert "not asked" in problem(act(page, "answer", number=7, yes=True))
                assert act(page, "answer", number=1, yes=True).json() == {"ok": True}
            else:
                terminal.type("y\n")
            until(lambda: "1 generated" in terminal.said, "the image")
            assert "not asked any more" in problem(act(page, "answer", number=1, yes=True))
        terminal.type("\x03")
        assert terminal.code() == 130
    assert emulator.ledger()["total"]["images"] == 2


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_extra_one_line_says_what_to_install(project, package):
    project.manifest("version: 1\n" + IMAGES)
    code = (
        f"import sys; sys.modules[{package!r}] = None; from imgbuild.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "watch", "--ui"],
        cwd=project.root,
        env=project.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == f'error: --ui needs {package}, not installed here; pip install "imgbuild[ui]"\n'


@pytest.mark.parametrize("words", [["--port", "1"], ["--no-open"]])
def test_options_of_the_page_need_the_page(project, words):
    project.manifest("version: 1\n" + IMAGES)
    run = project.run("watch", *words)
    assert run.code == 2
    assert "add --ui" in run.err


def test_a_port_that_is_taken_is_said(project, start_emulator):
    port = start_emulator().url.rpartition(":")[2]
    project.manifest("version: 1\n" + IMAGES)
    run = project.run("watch", "--ui", "--port", port)
    assert run.code == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in run.err
    assert "--port 0" in run.err
