"""The page in a real browser: everything that an author does while choosing, over a service that takes its time."""

from __future__ import annotations

from collections import Counter

from painted import painted
from project_folder import STUDIO
from watch_session import until

IMAGES = """\
budget: {max_cost: 1}
images:
  hero: {prompt: a quiet harbour at dusk, size: 640x360, takes: 3, output: out/hero.png}
  icon: {prompt: an anchor, size: 64x64, output: out/icon.png}
"""
HERO = '.card[data-id="hero"]'
DONE = "document.querySelector('#session .state').textContent === 'Watching for changes'"
NOTE_BADGES = """
window.badges = new Set();
new MutationObserver(() => {
  const found = document.querySelector(".card[data-id=hero] .badge:not([hidden])");
  if (found) window.badges.add(found.textContent);
}).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
"""
SOURCE = "document.querySelector('.card[data-id=hero] img').src"


def take(project) -> int:
    return project.lock["images"]["hero"]["take"]


def pictures_paid_for(emulator) -> dict[str, int]:
    paid: Counter[str] = Counter()
    for charge in emulator.ledger()["charges"]:
        paid[charge["prompt"]] += charge["n"]
    return dict(paid)


def test_an_author_edits_picks_rerolls_and_adopts_on_the_page(
    project, start_emulator, live, chromium, tmp_path
):
    emulator = start_emulator(latency=0.6, jitter=0)
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    session = live(project)
    page = chromium
    violations: dict[str, list[str]] = {}

    # The token leaves the address.
    page.do("goto", session.address)
    page.until("document.querySelectorAll('.card').length === 2")
    assert session.token not in page.report("location.href + document.referrer")
    page.until(f"{DONE} && document.querySelectorAll('.card img').length === 2")
    assert page.text(".spent").startswith("0.04 of 1 USD")
    violations["grid"] = page.violations()

    # A prompt is edited on disk: its card says what goes on, and the new picture comes without a reload.
    page.report(NOTE_BADGES)
    before = page.report(SOURCE)
    project.edit("a quiet harbour at dusk", "a quiet harbour at dawn")
    page.until(f"{SOURCE} !== {before!r} && {DONE}")
    assert "generating" in page.report("[...window.badges].join()")
    assert page.text(".spent").startswith("0.07 of 1 USD")

    # Take 3 is picked, and the lock says so.
    page.click(HERO)
    page.until("document.querySelector('[data-key$=\".3\"]')")
    page.click("[aria-label='Pick Take 3']")
    page.until("document.querySelector('.said').textContent.startsWith('Take 3 is picked')")
    assert take(project) == 3
    page.until("document.querySelector('.takes li.picked b').textContent === 'Take 3'")

    # Two takes are compared, and what the words of an earlier result were.
    page.click("[aria-label='Compare Take 1']")
    page.until(
        "[...document.querySelectorAll('.pair img')].every((one) => one.complete && one.naturalWidth > 0)"
    )
    violations["side by side"] = page.violations()
    page.click("[data-key=mode-slider]")
    page.do("focus", "[data-key=slide]")
    page.do("keyboard.press", "ArrowLeft")
    page.until("document.querySelector('.stack').style.getPropertyValue('--cut') === '49%'")
    page.click("[data-key=compare-end]")
    differences = "document.querySelector('.takes details .diff')"
    assert page.report(f"[...{differences}.querySelectorAll('del, ins')].map((one) => one.textContent)") == [
        "dusk",
        "dawn",
    ]

    # A reroll is paid for only after its price was agreed to.
    charged = emulator.ledger()["total"]
    page.click("[data-key=reroll]")
    page.until("document.querySelector('.told .ask')")
    assert "1 new take: about 0.01 USD" in page.text(".told .ask")
    violations["a price"] = page.violations()
    assert emulator.ledger()["total"] == charged
    page.click("[data-key=agree]")
    page.until("document.querySelector('.takes li.picked b').textContent === 'Take 4'")
    assert take(project) == 4
    assert pictures_paid_for(emulator) == {
        "a quiet harbour at dusk": 3,
        "a quiet harbour at dawn": 4,
        "an anchor": 1,
    }
    page.until("document.querySelector('.spent').textContent.startsWith('0.08 of 1 USD')")

    # A retouched file becomes the image, and a note says why.
    mine = tmp_path / "retouched.png"
    mine.write_bytes(painted(640, 360))
    page.do("files", "dialog input[type=file]", str(mine))
    page.until("document.querySelector('.said').textContent.includes('retouched.png is the image now')")
    assert project.lock["images"]["hero"]["provider"] == "adopted"
    page.do("fill", "#note", "the second moon is gone")
    page.click("[data-key=save-note]")
    notes = project.root / "imgbuild.notes.json"
    until(lambda: notes.exists() and "second moon" in notes.read_text(), "the note")

    # An error in the manifest stands on the page with its line, until it is mended.
    page.do("keyboard.press", "Escape")
    project.edit("size: 64x64", "sise: 64x64")
    page.until("document.querySelector('.problems')")
    assert "imgbuild.yaml:" in page.text(".problems code")
    assert "sise" in page.text(".problems pre")
    violations["an error"] = page.violations()
    project.edit("sise: 64x64", "size: 64x64")
    page.until(f"!document.querySelector('.problems') && {DONE}")

    page.do("look", "dark", 390, 844)
    page.click(HERO)
    page.until("document.querySelectorAll('.takes li').length >= 5")
    violations["dark, on a phone"] = page.violations()
    assert page.report("document.documentElement.scrollWidth") <= 390
    page.do("look", "light", 1200, 800)

    assert {where: found for where, found in violations.items() if found} == {}
    assert [url for url in page.do("requests") if not url.startswith(session.url)] == []
    assert session.stop() == 130
    page.until("document.querySelector('#session .state.bad')")
    page.do("problems")
    # What was done on the page is what the command line finds.
    assert project.json("build").counts() == {"unchanged": 2}


def test_a_question_about_the_cost_is_answered_on_the_page(project, start_emulator, live, chromium):
    emulator = start_emulator()
    project.manifest(
        STUDIO.format(url=emulator.url)
        + "budget: {confirm_above: 0}\nimages:\n  icon: {prompt: an anchor, size: 64x64, output: out/icon.png}\n"
    )
    session = live(project)
    chromium.do("goto", session.address)
    chromium.until("document.querySelector('#session .ask')")
    assert "This costs about 0.01 USD for 1 image" in chromium.text("#session .ask")
    assert chromium.violations() == []
    assert emulator.ledger()["charges"] == []
    chromium.click("[data-key=yes]")
    chromium.until("document.querySelectorAll('.card img').length === 1")
    assert emulator.ledger()["total"]["charges"] == 1
    assert session.stop() == 130
