"""`--summary FILE`: a report in Markdown, whatever happens, in which no text from outside is more than a text."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st
from project_folder import STUDIO

from imgbuild.core.redact import escape
from imgbuild.ui.markdown import code, plain, table
from imgbuild.ui.spans import cells

IMAGES = """\
images:
  hero: {prompt: A harbour, size: 1024x1024, output: out/hero.png}
  icon: {prompt: An anchor, size: 1024x1024, output: out/icon.png}
"""


def report(project, name: str = "report.md") -> str:
    return project.read(name).decode()


def test_a_build_lists_state_files_size_and_cost(project, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    run = project.run("build", "hero", "--summary", "report.md")
    assert run.code == 0
    assert re.fullmatch(
        r"### imgbuild: 1 generated in \d+\.\d s, 0\.01 USD\n\n"
        r"\| image \| state \| files \| size \| cost \|\n"
        r"\| --- \| --- \| --- \| --- \| --- \|\n"
        r"\| <code>hero</code> \| generated \| <code>out/hero.png</code> \| 1024x1024, [\d.]+ k?B \| 0.01 USD \|\n\n",
        report(project),
    )
    assert len(emulator.ledger()["charges"]) == 1


def test_it_is_added_to_what_stands_there_and_failures_come_first(project, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    project.write("report.md", "before\n")
    assert project.run("build", "--summary", "report.md").code == 0
    project.write("out/icon.png", "retouched")
    assert project.run("build", "--summary", "report.md").code == 1
    before, first, second = report(project).split("### imgbuild: ")
    assert before == "before\n"
    assert first.startswith("2 generated in ")
    assert second.startswith("1 in conflict, 1 unchanged in ")
    assert second.index("<code>icon</code> | **conflict**") < second.index("<code>hero</code> | unchanged")


def test_a_plan_tells_what_it_would_cost(project, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    assert project.run("plan", "--summary", "report.md").code == 0
    assert report(project).startswith("### imgbuild: 2 to generate &#40;about 0.02 USD&#41;\n")
    assert "| <code>icon</code> | generate | <code>new</code> | 0.01 USD |\n" in report(project)
    assert project.run("build", "--dry-run", "--summary", "dry.md").code == 0
    assert report(project, "dry.md") == report(project)
    assert emulator.ledger()["charges"] == []


def test_what_stops_a_command_stands_in_it(project, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES.replace("prompt: An", "promt: An"))
    for words in (("plan",), ("build",)):
        project.write("report.md", "")
        assert project.run(*words, "--summary", "report.md").code == 2
        assert report(project).startswith(
            "### imgbuild: stopped\n\n- <code>imgbuild.yaml&#58;12</code> <code>"
        )
        assert "did you mean &#34;prompt&#34;" in report(project)


def test_a_file_that_cannot_be_written_is_told_before_anything_is_paid(project, emulator):
    project.manifest(STUDIO.format(url=emulator.url) + IMAGES)
    run = project.run("build", "--summary", "no/such/folder.md")
    assert (run.code, "no/such/folder.md cannot be written" in run.err) == (2, True)
    assert emulator.ledger()["charges"] == []


@given(st.text())
def test_no_text_is_a_mark_and_every_text_reads_as_it_was(text: str):
    shown = plain(text, 10_000)
    assert not set(re.sub(r"&#\d+;", "", shown)) & set("\n\r|<>&*_`[]()#@!~\\:\"'{}$^")
    assert html.unescape(shown) == escape(text)
    assert cells(html.unescape(plain(text, 20))) <= max(20, 1)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=4))
def test_a_table_has_a_line_for_each_row_and_as_many_cells_as_its_head(rows: list[tuple[str, str]]):
    lines = table(("a", "b"), [(plain(one), code(two)) for one, two in rows]).splitlines()
    assert len(lines) == (len(rows) + 2 if rows else 0)
    assert all(line.count("|") == 3 for line in lines)
