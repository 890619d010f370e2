"""A08: rows, names and words from others: nothing runs, nothing outside is touched, a terminal obeys none of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from attack_cases import sample, tree
from hostile_service import HostileService, answer
from pictures import GOOD
from project_folder import ProjectFolder, Run

WORDS = "\x1b]52;c;eA==\x07\x1b[2J\r\x9b31m\u202egnp\u2066\u2028\u200f\ufeffend"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def assert_plain(runs: Iterable[Run]) -> None:
    for run in runs:
        assert not (found := OBEYED.search(run.out)), (found, run.out)
        assert not (found := OBEYED.search(run.err)), (found, run.err)


SAID = {
    "refusal": lambda: answer({"error": {"message": WORDS, "code": WORDS}}, 400),
    "text": lambda: (500, {}, WORDS.encode()),
    "status": lambda: answer({"task_id": "t-1", "status": WORDS}),
    "failure": lambda: answer({"task_id": "t-1", "status": "FAILURE", "fail_reason": WORDS}),
    "link": lambda: answer({"task_id": "t-1", "status": "SUCCESS", "result_url": f"http://x/{WORDS}"}),
    "task id": lambda: answer({"task_id": WORDS, "status": "NOT_START"}),
}


@pytest.mark.parametrize("where", sample(SAID, 3))
def test_a_terminal_obeys_no_service(project: ProjectFolder, service: HostileService, where: str) -> None:
    project.manifest(service.manifest(timeout="2s").replace("deadline: 20s", "deadline: 1s"))
    service.submit = service.poll = SAID[where]
    runs = [project.run("build", *words) for words in ([], ["-v"], ["--output-format", "github"])]
    runs += [
        project.run(*words) for words in (["jobs"], ["plan"], ["spend"], ["build", "--output-format", "json"])
    ]
    assert any(run.code == 1 for run in runs)
    assert_plain(runs)


def quoted(text: str) -> str:
    return json.dumps(text)


def test_a_terminal_obeys_no_manifest(project: ProjectFolder) -> None:
    word = quoted(WORDS)
    project.manifest(
        f"version: 1\nvars: {{style: {word}}}\nimages:\n"
        f"  a: {{prompt: {word}, negative_prompt: {word}, alt: {word}, tags: [{word}], size: 8x8, output: a.png}}\n"
    )
    verbs = ["check", "plan", "build", "list", "show a", "explain a", "takes a", "spend", "jobs", "providers"]
    runs = [
        project.run(*verb.split(), *words) for verb in verbs for words in ([], ["--output-format", "json"])
    ]
    project.edit("8x8", "9x9")
    runs += [project.run("plan", "-v"), project.run("explain", "a")]
    assert_plain(runs)


@pytest.mark.parametrize(
    "text",
    sample(
        [
            "version: 1\n{}: 1\n",
            "version: 1\nimages: {{{}: {{prompt: p, output: a.png}}}}\n",
            "version: 1\nimages: {{a: {{prompt: p, output: {}}}}}\n",
            "version: 1\nimages: {{a: {{prompt: p, output: a.png, size: {}}}}}\n",
            "version: 1\nimages: {{a: {{prompt: p, output: a.png, provider: {}}}}}\n",
            "version: 1\nimages: {{a: {{prompt: p, output: a.png, references: [{}]}}}}\n",
            "version: 1\nimages: {{a: {{prompt: p, output: a.png, references: ['@nothing', {}]}}}}\n",
            "version: 1\nproviders: {{{}: {{type: openai}}}}\nimages: {{}}\n",
            "version: 1\nproviders: {{a: {{type: {}}}}}\nimages: {{}}\n",
            "version: 1\nproviders: {{a: {{type: command, command: [{}]}}}}\nimages: {{a: {{prompt: p, output: a.png}}}}\n",
            "version: 1\nimages: {{a: {{prompt: '{{{{ x[{}] }}}}', output: a.png}}}}\n",
            "version: 1\ninclude: [{}]\nimages: {{}}\n",
        ],
        4,
    ),
)
def test_a_terminal_obeys_no_error_about_a_manifest(project: ProjectFolder, text: str) -> None:
    project.manifest(text.format(quoted(WORDS)))
    runs = [project.run(*words) for words in (["check"], ["build", "--output-format", "github"], ["plan"])]
    assert_plain(runs)


def test_a_terminal_obeys_no_lock_and_no_file_name(project: ProjectFolder) -> None:
    project.manifest("version: 1\nimages: {a: {prompt: p, size: 8x8, output: a.png}}\n")
    assert project.run("build").code == 0
    lock = project.lock
    lock["images"][WORDS] = dict(lock["images"]["a"], outputs={})
    lock["images"]["b"] = dict(
        lock["images"]["a"], model=WORDS, outputs={f"{WORDS}.png": lock["images"]["a"]["outputs"]["a.png"]}
    )
    project.write("imgbuild.lock", json.dumps(lock))
    runs = [
        project.run(*verb.split())
        for verb in ("build --locked", "plan", "list", "restore", "clean --dry-run", "build")
    ]
    project.write(f"posts/{WORDS.replace('/', '')}.md", "---\ntitle: [\n---\n")
    project.manifest(
        "version: 1\nimages: {a: {foreach: {markdown: 'posts/*.md'}, prompt: p, size: 8x8, output: '{{ item.slug }}.png'}}\n"
    )
    runs += [project.run("check"), project.run("check", "--output-format", "github")]
    assert_plain(runs)


@pytest.mark.parametrize(
    "id",
    ["../../x", "/etc/passwd", "..", "a/../../b", "x\u0000y", "a b", "x" * 10_000, "?a=b", "#", "%2e%2e%2f"],
)
def test_a_hostile_task_id_fails_the_image_and_leads_nowhere(
    project: ProjectFolder, service: HostileService, id: str
) -> None:
    project.manifest(service.manifest())
    service.submit = lambda: answer({"task_id": id, "status": "NOT_START"})
    before = tree(project.root)
    run = project.json("build", code=1)
    assert run.summary["failed"] == 1
    # Nothing was asked in its name that is not a task's own address.
    assert {got.path for got in service.got} <= {"/v1/images/tasks", f"/v1/images/tasks/{id}"}
    assert {name for name in tree(project.root) if not name.startswith(".imgbuild")} >= set(before)
    assert not (project.root.parent / "x").exists()


def test_a_page_shows_what_strangers_wrote_and_runs_none_of_it(
    project: ProjectFolder, service: HostileService
) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`${alert(1)}<!--"
    project.manifest(
        service.manifest().replace(
            "prompt: a lighthouse", f"prompt: {quoted(evil)}, alt: {quoted(evil)}, tags: [{quoted(evil)}]"
        )
    )
    service.gives(GOOD)
    assert project.run("build").code == 0
    assert project.run("gallery").code == 0
    (page,) = (project.root / ".imgbuild/gallery").glob("*.html")
    text = page.read_text()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "</script><script>" not in text


def test_a_cache_that_everybody_can_write_to_is_named_with_the_remedy(project: ProjectFolder) -> None:
    project.manifest("version: 1\nimages: {a: {prompt: p, size: 8x8, output: a.png}}\n")
    cache = Path(project.environ["IMGBUILD_CACHE_DIR"])
    run = project.run("build")
    assert "everybody" not in run.out + run.err
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)
    project.edit("8x8", "9x9")
    run = project.run("build")
    assert run.code == 0
    assert "chmod o-w" in run.out + run.err
