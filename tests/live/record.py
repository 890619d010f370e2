"""The walk-through of docs/authoring.md, done for real, with the pictures that the page shows.

    python tests/live/record.py [FOLDER]

begins a project, watches it with the page open in a headless browser, does what the page tells, and writes the
pictures into FOLDER (docs/images). A small program paints in place of a service, so that anybody can repeat it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyvips

# What all tests share lies one folder up, which is not on the path of a script.
sys.path.append(str(Path(__file__).parents[1]))

from driven import HERE, Browser, browser
from live_session import LiveSession
from watch_session import until

ROOT = HERE.parents[1]
QUALITY = 84
MOST = 100_000
"""Bytes of a picture."""
WINDOW = ("light", 1120, 540)
STUDIO = f"""\
providers:
  studio:
    type: command
    command: ["{sys.executable}", "{HERE / "harbour_painter.py"}"]
    concurrency: 8
    pricing: {{unit: USD, per_image: {{low: 0.01, medium: 0.04}}}}

defaults: {{provider: studio, quality: medium}}
budget: {{max_cost: 1, confirm_above: 0.10}}
"""
IDLE = "document.querySelector('#session .state').textContent === 'Watching for changes'"
SHOWN = "[...document.querySelectorAll('.card img, .stage img, .takes img')].every((one) => one.complete && one.naturalWidth > 0)"


class Recorder:
    """A project and its page. Pictures go to a folder."""

    def __init__(self, page: Browser, project: Path, pictures: Path) -> None:
        self.page = page
        self.project = project
        self.pictures = pictures

    def picture(self, name: str, *, quality: int = QUALITY) -> None:
        """What the window shows."""
        self.page.until(SHOWN)
        file = self.project.parent / f"{name}.png"
        self.page.do("clip", str(file))
        target = self.pictures / f"live-{name}.webp"
        pyvips.Image.new_from_file(str(file)).webpsave(
            str(target), Q=quality, smart_subsample=True, keep="none"
        )
        size = target.stat().st_size
        assert size < MOST, f"{target.name} has {size} bytes"
        print(f"{target.name}: {size / 1000:.0f} kB")

    def save(self, change: Callable[[str], str]) -> None:
        """What the author does in the editor."""
        manifest = self.project / "imgbuild.yaml"
        before = manifest.read_text(encoding="utf-8")
        after = change(before)
        assert after != before
        manifest.write_text(after, encoding="utf-8")


def name_the_service(text: str) -> str:
    """The lines of the template about a service, filled in; and four takes of the hero."""
    first, last = text.index("# Without a provider"), text.index("vars: {style")
    text = f"{text[:first]}{STUDIO}\n{text[last:]}"
    return text.replace("    size: 1600x900\n", "    size: 1600x900\n    takes: 4\n")


def walk(recorder: Recorder, session: LiveSession, environ: dict[str, str]) -> None:
    """The walk-through from the first look to the chosen image."""
    page, project = recorder.page, recorder.project
    page.do("look", *WINDOW)
    page.do("goto", session.address)
    page.until(f"document.querySelectorAll('.card img').length === 4 && {IDLE}")
    recorder.picture("cards")

    recorder.save(name_the_service)
    page.until("document.querySelector('#session .ask')")
    recorder.picture("question")
    page.click("[data-key=yes]")
    page.until(
        "document.querySelectorAll('.card .state.good').length === 3 && document.querySelector('.badge:not([hidden])')"
    )
    recorder.picture("arriving")
    page.until(f"document.querySelectorAll('.card img').length === 4 && {IDLE}")

    page.do("look", "light", 1120, 760)
    page.click(".card[data-id=hero]")
    page.until("document.querySelectorAll('.takes li').length >= 4")
    page.click("[aria-label='Compare Take 3']")
    page.click("[data-key=mode-slider]")
    page.do("focus", "[data-key=slide]")
    for _ in range(8):
        page.do("keyboard.press", "ArrowLeft")
    recorder.picture("compare")

    page.click("[aria-label='Pick Take 3']")
    page.until("document.querySelector('.said').textContent.startsWith('Take 3 is picked')")
    page.click("[data-key=compare-end]")
    page.do("keyboard.press", "Escape")

    recorder.save(lambda text: text.replace("harbour at dusk", "harbour at dawn, long shadows", 1))
    page.until("document.querySelector('#session .ask')")
    page.click("[data-key=yes]")
    page.until("document.querySelector('.jobs')")
    page.until(f"{IDLE} && document.querySelector('.spent').textContent.startsWith('0.')")
    page.do("look", "dark", 1120, 760)
    page.click(".card[data-id=hero]")
    page.until("document.querySelectorAll('.takes li').length >= 8")
    page.report("document.querySelector('.takes details').open = true")
    page.click("[aria-label='Show Take 2 large']")
    page.click("[data-key=reroll]")
    page.until("document.querySelector('.told .ask')")
    recorder.picture("reroll")
    page.click("[data-key=agree]")
    page.until("document.querySelector('.takes li.picked b')?.textContent === 'Take 5'")
    page.click("[aria-label='Pick Take 2']")
    page.until("document.querySelector('.takes li.picked b').textContent === 'Take 2'")
    page.do("fill", "#note", "Take 2: the light falls on the sails. Crop less from the left on phones.")
    page.click("[data-key=save-note]")
    until(lambda: (project / "imgbuild.notes.json").exists(), "the note")

    page.do("look", "light", 390, 844)
    page.until("document.querySelector('.takes li.picked b').textContent === 'Take 2'")
    page.report("document.querySelector('.inner').scrollTo(0, 0)")
    recorder.picture("phone")
    page.do("keyboard.press", "Escape")
    page.do("look", *WINDOW)
    recorder.save(lambda text: text.replace("size: 256x256", "size: 256x", 1))
    page.until("document.querySelector('.problems')")
    recorder.picture("error")
    recorder.save(lambda text: text.replace("size: 256x\n", "size: 256x256\n", 1))
    page.until(f"!document.querySelector('.problems') && {IDLE}")


def main() -> int:
    """Record; returns the exit code."""
    pictures = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "docs" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="imgbuild-") as folder:
        home = Path(folder)
        project = home / "harbour"
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "IMGBUILD_CACHE_DIR": str(home / "cache"),
            "IMGBUILD_TRUSTED_ORIGINS": "studio",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }

        def run(*words: str) -> str:
            return subprocess.run(
                words, cwd=home, env=environ, check=True, capture_output=True, text=True
            ).stdout

        print(run(sys.executable, "-m", "imgbuild", "init", "harbour", "--template", "site"))
        session = LiveSession(project, environ)
        try:
            until(session.summaries, "the first round")
            if shutil.which("git"):
                run("git", "-C", "harbour", "init", "-q")
                run("git", "-C", "harbour", "add", "-A")
                run(
                    "git",
                    "-C",
                    "harbour",
                    "-c",
                    "user.name=Ada",
                    "-c",
                    "user.email=a@b",
                    "commit",
                    "-qm",
                    "Cards",
                )
            with browser(home / "driver") as page:
                walk(Recorder(page, project, pictures), session, environ)
                problems = page.do("problems")
            assert problems == [], problems
            assert session.stop() == 130
            if shutil.which("git"):
                print(run("git", "-C", "harbour", "status", "--short"))
            print(run(sys.executable, "-m", "imgbuild", "-C", "harbour", "build"))
        finally:
            session.kill()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
