"""The pages in a real browser: keyboard, search, print, colours; axe-core finds nothing, nothing is requested."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from looking import Look, Seen
from painted import painted
from project_folder import ProjectFolder

EVIL = '<img src=x onerror=\\"document.title=1\\">'
MANIFEST = f"""\
version: 1
images:
  hero: {{prompt: "a lighthouse {EVIL}", size: 640x320, alt: "A {EVIL}", tags: [site, "{EVIL}"], output: out/hero.png}}
  icon:
    matrix: {{item: [anchor, rope, sail, wheel, bell, oar], tone: [warm, cold]}}
    prompt: "{{{{ item }}}} in {{{{ tone }}}} light"
    size: 64x64
    tags: [game]
    output: out/{{{{ item }}}}-{{{{ tone }}}}.png
"""
IDS = "[...document.querySelectorAll('.card bdi')].map((one) => one.textContent)"
FOCUS = "document.activeElement.querySelector('bdi')?.textContent"
DETAIL = (
    "[document.querySelector('dialog').open, document.querySelector('dialog h2')?.textContent, location.hash]"
)
SHOWN = "[...document.querySelectorAll('.card img, .stage img')].every((one) => one.complete && one.naturalWidth > 0)"
WHOLE = """[...document.querySelectorAll('.frame img')].every((one) => {
  const [inner, outer] = [one, one.parentElement].map((node) => node.getBoundingClientRect());
  return inner.height <= outer.height + 1 && inner.width <= outer.width + 1;
})"""
COLOUR = "getComputedStyle(document.documentElement).backgroundColor"

VISITS: dict[str, dict[str, Any]] = {
    "light": {"report": f"[{IDS}, {SHOWN} && {WHOLE}, document.title, document.querySelectorAll('img[src=x]').length]"},
    "dark": {"dark": True, "report": COLOUR},
    "switched": {"dark": True, "steps": [["click", "#theme"]], "report": COLOUR},
    "phone": {"width": 360, "height": 740, "report": "document.documentElement.scrollWidth"},
    "searched": {"steps": [["keyboard.press", "/"], ["keyboard.type", "ROPE cold"]], "report": IDS},
    "cleared": {
        "steps": [["keyboard.press", "/"], ["keyboard.type", "rope"], ["keyboard.press", "Escape"]],
        "report": f"{IDS}.length",
    },
    "none": {"steps": [["fill", "#search", "nothing like it"]], "report": "document.querySelector('main').textContent"},
    "axis": {
        "steps": [["selectOption", "#tag", "game"], ["selectOption", "#group", "axis:tone"]],
        "report": "[...document.querySelectorAll('h2')].map((one) => one.textContent)",
    },
    "arrows": {
        "steps": [["selectOption", "#group", "none"], *[["keyboard.press", "ArrowRight"]] * 3, ["keyboard.press", "ArrowLeft"]],
        "report": FOCUS,
    },
    "down and up": {
        "steps": [["selectOption", "#group", "none"], *[["keyboard.press", key] for key in ("ArrowRight", "ArrowDown", "ArrowUp")]],
        "report": FOCUS,
    },
    "opened": {
        "steps": [["selectOption", "#group", "none"], ["focus", ".card"], ["keyboard.press", "Enter"], ["waitForSelector", "dialog[open]"]],
        "report": f"[{DETAIL}, {SHOWN}]",
    },
    "opened in the dark": {"dark": True, "steps": [["click", ".card"]]},
    "newer data": {
        "steps": [["fill", "#search", "rope"], ["click", ".card"]],
        "report": f"gallery.show(((data) => ({{...data, images: data.images.reverse()}}))(JSON.parse(document.getElementById('data').textContent))) ?? [{DETAIL}, {IDS}.length]",
    },
    "next": {
        "steps": [["selectOption", "#group", "none"], ["click", ".card"], ["keyboard.press", "ArrowRight"]],
        "report": DETAIL,
    },
    "closed": {
        "steps": [["selectOption", "#group", "none"], ["click", ".card"], ["keyboard.press", "ArrowRight"], ["keyboard.press", "Escape"]],
        "report": f"[document.querySelector('dialog').open, {FOCUS}]",
    },
    "sheet": {
        "steps": [["selectOption", "#group", "none"], ["selectOption", "#view", "6"]],
        "report": f"[[...document.querySelectorAll('.sheet')].map((one) => one.querySelectorAll('li').length), {WHOLE}]",
    },
    "printed": {"print": True, "report": f"[{COLOUR}, getComputedStyle(document.querySelector('.bar')).display]", "dark": True},
}  # fmt: skip
JUDGED = ("light", "dark", "phone", "none", "opened", "opened in the dark", "sheet")


@pytest.fixture(scope="module")
def visits(look: Look, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Seen], Path]:
    """Every visit to the gallery, and to a review, with one browser."""
    root = tmp_path_factory.mktemp("pages")
    project = ProjectFolder(
        root / "project", {"PATH": "/usr/bin:/bin", "HOME": str(root), "GIT_CONFIG_GLOBAL": "/dev/null"}
    )
    project.root.mkdir()
    project.manifest(MANIFEST)
    project.json("build")
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *words], cwd=project.root, env=project.environ, check=True)
    (root / "mine.png").write_bytes(painted(640, 320))
    project.json("adopt", "hero", "../mine.png")
    project.run("diff", "--out", "../review.html")
    (project.root / "out/bell-warm.png").unlink()
    assert project.run("gallery").code == 0
    gallery = (project.root / ".imgbuild/gallery/index.html").as_uri()
    review = {"url": (root / "review.html").as_uri(), "report": SHOWN, "axe": True}
    every = {name: {"url": gallery, **visit} for name, visit in VISITS.items()}
    for name in JUDGED:
        every[name]["axe"] = True
    every["sheet"]["pdf"] = str(root / "sheet.pdf")
    every |= {
        "review": review,
        "review, dark": {**review, "dark": True},
        "review, phone": {**review, "width": 360},
    }
    return dict(zip(every, look([*every.values()]), strict=True)), root


def test_axe_finds_nothing_anywhere(visits):
    found = {name: seen.violations for name, seen in visits[0].items() if seen.violations}
    assert found == {}


def test_nothing_is_wrong_and_nothing_is_fetched_but_the_projects_own_files(visits):
    for name, seen in visits[0].items():
        assert (name, seen.problems) == (name, [])
        others = [url for url in seen.requests if not url.startswith(visits[1].as_uri())]
        assert (name, others) == (name, [])


def test_every_image_is_shown_and_no_text_became_markup(visits):
    ids, shown, title, injected = visits[0]["light"].report
    assert len(set(ids)) == 13
    assert (shown, title, injected) == (True, "project: gallery", 0)


def test_dark_and_light_follow_the_system_and_can_be_switched(visits):
    colours = [visits[0][name].report for name in ("dark", "switched")]
    assert colours == ["rgb(21, 21, 23)", "rgb(246, 245, 242)"]


def test_a_phone_needs_no_scrolling_sideways(visits):
    assert visits[0]["phone"].report <= 360


def test_a_slash_searches_all_words_and_escape_ends_it(visits):
    assert visits[0]["searched"].report == ["icon[item=rope,tone=cold]"]
    assert visits[0]["cleared"].report >= 13
    assert visits[0]["none"].report == "No image matches."


def test_images_are_grouped_by_an_axis_of_their_matrix(visits):
    assert visits[0]["axis"].report == ["cold6 images", "warm6 images"] or visits[0]["axis"].report == [
        "warm6 images",
        "cold6 images",
    ]


def test_arrows_move_enter_opens_and_escape_leads_back(visits):
    assert visits[0]["arrows"].report == "icon[item=anchor,tone=warm]"
    assert visits[0]["down and up"].report == "hero"
    (open, id, hash), shown = visits[0]["opened"].report
    assert (open, id, hash, shown) == (True, "hero", "#hero", True)
    assert visits[0]["next"].report[:2] == [True, "icon[item=anchor,tone=warm]"]
    assert visits[0]["closed"].report == [False, "icon[item=anchor,tone=warm]"]


def test_newer_data_leaves_open_what_was_open(visits):
    (open, id, _), found = visits[0]["newer data"].report
    assert (open, id, found) == (True, "icon[item=rope,tone=warm]", 2)


def test_contact_sheets_have_so_many_a_page_on_screen_and_on_paper(visits):
    assert visits[0]["sheet"].report == [[6, 6, 1], True]
    pages = re.findall(rb"/Type\s*/Page\b", (visits[1] / "sheet.pdf").read_bytes())
    assert len(pages) == 3


def test_print_is_light_and_without_tools(visits):
    assert visits[0]["printed"].report == ["rgb(255, 255, 255)", "none"]


def test_a_review_shows_both_sides(visits):
    assert visits[0]["review"].report is True
