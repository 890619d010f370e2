"""The GitHub Action: its own steps run for real, and what it hands to other actions is what they take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from action_runner import ACTION, ROOT, STEPS, Runner, with_imgbuild

MANIFEST = """\
version: 1
images:
  hero: {prompt: A harbour, size: 120x63, output: out/hero.jpg}
  icon:
    prompt: An anchor
    size: 32x32
    output: out/icon.png
"""
PINNED = re.compile(r"^ +uses: ([\w-]+/[\w-]+)(/[\w-]+)?@[0-9a-f]{40} # v\d+\.\d+\.\d+$", re.MULTILINE)


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def runner(tmp_path: Path, project) -> Runner:
    """A checkout with two accepted images in site/, and a machine with an empty cache."""
    site = project.root / "site"
    project.write("site/imgbuild.yaml", MANIFEST)
    assert project.run("-C", "site", "build").code == 0
    shutil.rmtree(site / ".imgbuild")
    git(project.root, "init", "-q", "-b", "main")
    git(project.root, "add", ".")
    git(project.root, "commit", "-q", "-m", "images")
    temp = tmp_path / "runner"
    with_imgbuild(temp)
    return Runner(project.root, temp)


def edit(runner: Runner, old: str, new: str) -> None:
    path = runner.workspace / "site" / "imgbuild.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_checkout_that_agrees_with_its_lock_passes_and_is_summed_up(runner: Runner):
    ran = runner.run(working_directory="site")
    assert (list(ran), ran["run"].code) == (["install", "run"], 0)
    assert "::" not in ran["run"].log
    assert runner.summary.startswith("### imgbuild: 2 images, nothing to do\n")
    assert "| <code>hero</code> | unchanged | <code>out/hero.jpg</code> | 120x63, " in runner.summary
    assert runner.outputs["install"]["cache"] == str(runner.temp / "imgbuild" / "cache")
    assert "pays" not in runner.outputs["run"]


def test_a_stale_lock_fails_at_the_image_that_changed(runner: Runner):
    edit(runner, "An anchor", "A lantern")
    ran = runner.run(working_directory="site")["run"]
    assert ran.code == 3
    assert "::error file=site/imgbuild.yaml,line=4,col=3::icon: key changed (run imgbuild build" in ran.log
    assert "- <code>site/imgbuild.yaml&#58;4</code> <code>icon&#58; key changed</code>" in runner.summary


def test_a_file_that_cannot_be_restored_is_told_at_its_image(runner: Runner):
    (runner.workspace / "site/out/icon.png").unlink()
    ran = runner.run(working_directory="site")["run"]
    assert ran.code == 1
    assert "::error file=site/imgbuild.yaml,line=4,col=3::icon: " in ran.log
    assert "| <code>icon</code> | **failed**: " in runner.summary


def test_a_file_comes_back_from_the_cache_that_an_earlier_run_has_left(runner: Runner):
    edit(runner, "An anchor", "A lantern")
    runner.run(working_directory="site", args="--generate")
    before = (runner.workspace / "site/out/icon.png").read_bytes()
    (runner.workspace / "site/out/icon.png").unlink()
    ran = runner.run(working_directory="site")["run"]
    assert ran.code == 0, ran.log
    assert (runner.workspace / "site/out/icon.png").read_bytes() == before
    assert runner.outputs["install"].keys() == {"cache", "imgbuild"}


def test_only_generate_says_that_something_is_paid_and_kept(runner: Runner):
    edit(runner, "An anchor", "A lantern")
    ran = runner.run(working_directory="site", args="--generate\n --max-cost 1")["run"]
    assert ran.code == 0, ran.log
    assert runner.outputs["run"] == {"pays": "true"}
    assert "| <code>icon</code> | generated | " in runner.summary


def test_other_commands_run_as_they_are(runner: Runner):
    edit(runner, "An anchor", "A lantern")
    assert runner.run(working_directory="site", command="check")["run"].code == 0
    assert runner.summary == ""
    assert runner.run(working_directory="site", command="plan", args="--exit-code icon")["run"].code == 3
    assert runner.summary.startswith("### imgbuild: 1 to generate\n")


def test_inputs_are_never_read_as_shell(runner: Runner):
    sign = runner.temp / "sign"
    for hostile in (f"$(touch {sign})", f"; touch {sign}", f"`touch {sign}`", f"'\"\ntouch {sign}"):
        ran = runner.run(working_directory="site", args=hostile)["run"]
        assert ran.code == 2, ran.log
    assert not sign.exists()
    assert runner.run(working_directory="site", args="site/*")["run"].code == 2
    assert runner.run(working_directory="site", args="*")["run"].code == 0


def test_a_pull_request_is_compared_with_its_base_even_in_a_shallow_clone(runner: Runner, tmp_path: Path):
    base = git(runner.workspace, "rev-parse", "HEAD")
    edit(runner, "An anchor", "A lantern")
    runner.run(working_directory="site", args="--generate")
    git(runner.workspace, "commit", "-qam", "a lantern")
    git(runner.workspace, "config", "uploadpack.allowAnySHA1InWant", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{runner.workspace}", str(clone))
    other = tmp_path / "other"
    with_imgbuild(other)
    machine = Runner(
        clone, other, "pull_request", base, {"page": {"artifact-url": "https://github.example/1"}}
    )
    ran = machine.run(mode="diff", working_directory="site")
    assert (list(ran), [step.code for step in ran.values()]) == (["install", "diff", "report"], [0, 0, 0])
    folder = Path(machine.outputs["diff"]["folder"])
    assert machine.outputs["diff"]["changed"] == "true"
    assert "data:image/webp;base64," in (folder / "imgbuild-review.html").read_text(encoding="utf-8")
    assert machine.summary.startswith(f"### imgbuild: 1 changed since {base[:7]}\n")
    assert "| <code>icon</code> | changed | " in machine.summary
    assert "[Before and after, side by side](https://github.example/1)" in machine.summary
    assert machine.summary == (folder / "report.md").read_text(encoding="utf-8")


def test_a_pull_request_that_changes_no_image_is_said_to(runner: Runner):
    runner.base = "HEAD"
    ran = runner.run(mode="diff", working_directory="site")
    assert [step.code for step in ran.values()] == [0, 0, 0]
    assert "changed" not in runner.outputs["diff"]
    assert runner.summary.startswith(
        f"### imgbuild: no image has changed since {git(runner.workspace, 'rev-parse', '--short=7', 'HEAD')}\n"
    )


def test_a_base_without_a_lock_or_no_base_is_explained(runner: Runner):
    ran = runner.run(mode="diff", working_directory="site")
    assert (ran["diff"].code, "::error::mode diff compares with the base" in ran["diff"].log) == (2, True)
    git(runner.workspace, "rm", "-q", "--cached", "site/imgbuild.lock")
    git(runner.workspace, "commit", "-qm", "no lock")
    ran = runner.run(mode="diff", working_directory="site", base="HEAD")
    assert (ran["diff"].code, "::notice::the base has no imgbuild.lock" in ran["diff"].log) == (0, True)
    assert list(ran) == ["install", "diff"]


def test_nothing_runs_where_a_strangers_files_would_meet_secrets(runner: Runner):
    runner.event = "pull_request_target"
    ran = runner.run(working_directory="site")
    assert (list(ran), ran["refuse"].code) == (["refuse"], 2)


def test_a_mode_that_there_is_not_fails(runner: Runner):
    ran = runner.run(mode="dif", working_directory="site")
    assert (list(ran), ran["install"].code) == (["install"], 2)


def test_other_actions_are_pinned_by_commit():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert len(PINNED.findall(text)) == text.count("uses:") == 5


def test_scripts_contain_no_expressions():
    for step in STEPS.values():
        assert "${{" not in step.get("run", "") + step.get("with", {}).get("script", "")
        assert "run" not in step or step["shell"] == "bash"


def test_every_input_is_used_and_every_used_one_is_declared():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\binputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    assert set(re.findall(r"\bsteps\.([\w-]+)\.", text)) <= set(STEPS)
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    names = [*ACTION["inputs"], *ACTION["outputs"]]
    assert [name for name in names if f"`{name}`" not in page] == []


HARNESS = """\
const { script, old, status } = JSON.parse(process.argv[1])
const calls = []
const call = name => async given => {
  if (status) throw Object.assign(new Error('refused'), { status })
  calls.push([name, given])
}
const issues = { listComments: 'list', createComment: call('create'), updateComment: call('update') }
const github = { rest: { issues }, paginate: async () => old }
const context = { repo: { owner: 'o', repo: 'r' }, payload: { pull_request: { number: 7 } } }
const core = { notice: words => calls.push(['notice', words]) }
const run = new Function('require', 'github', 'context', 'core', `return (async () => {${script}})()`)
run(require, github, context, core).then(() => console.log(JSON.stringify(calls)))
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="the comment's script needs node")
@pytest.mark.parametrize(
    ("old", "status", "changed", "call"),
    [
        ([], None, "true", "create"),
        ([], None, "", None),
        (
            [{"id": 3, "user": {"login": "github-actions[bot]"}, "body": "<!-- review -->\nold"}],
            None,
            "",
            "update",
        ),
        ([{"id": 3, "user": {"login": "mallory"}, "body": "<!-- review -->\nfake"}], None, "true", "create"),
        ([], 403, "true", "notice"),
    ],
)
def test_one_comment_is_written_kept_up_to_date_or_done_without(tmp_path, old, status, changed, call):
    (tmp_path / "report.md").write_text("### imgbuild: 1 changed\n", encoding="utf-8")
    given = {"script": STEPS["comment"]["with"]["script"], "old": old, "status": status}
    done = subprocess.run(
        ["node", "-e", HARNESS, json.dumps(given)],
        env={"FOLDER": str(tmp_path), "NAME": "review", "CHANGED": changed, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    calls = json.loads(done.stdout)
    assert [name for name, _ in calls] == ([call] if call else [])
    if call in ("create", "update"):
        assert calls[0][1]["body"] == "<!-- review -->\n### imgbuild: 1 changed\n"
        assert calls[0][1].get("comment_id") == (3 if call == "update" else None)
