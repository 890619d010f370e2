"""What docs/ci.md offers to copy is well-formed, and the hooks for pre-commit are what they say."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import tomllib

import pytest
import yaml
from action_runner import ACTION, ROOT

from imgbuild.cli import COMMANDS

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
YAML = [text for language, text in BLOCKS if language == "yaml"]
VERBS = {verb for group in COMMANDS.values() for verb in group}
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


def uses() -> list[dict]:
    """Every step that uses an action."""
    steps: list[dict] = []
    for text in YAML:
        loaded = yaml.safe_load(text)
        if isinstance(loaded, list):
            steps += loaded
        elif "jobs" in loaded:
            steps += [step for job in loaded["jobs"].values() for step in job["steps"]]
    return [step for step in steps if "uses" in step]


def test_actions_are_pinned_and_given_inputs_that_they_have():
    assert len(uses()) >= 8
    for step in uses():
        name, _, at = step["uses"].partition("@")
        if name == "OWNER/imgbuild":
            assert set(step.get("with", {})) <= set(ACTION["inputs"])
        else:
            assert re.fullmatch("[0-9a-f]{40}", at), step
            assert re.search(rf"uses: {re.escape(step['uses'])} # v\d+\.\d+\.\d+$", PAGE, re.MULTILINE)


def test_the_action_and_the_page_pin_the_same_commits():
    text = (ROOT / "action.yml").read_text(encoding="utf-8") + PAGE
    pins = re.findall(r"uses: (actions/[\w-]+)[\w/-]*@([0-9a-f]{40} # v[\d.]+)", text)
    assert len({name for name, _ in pins}) == len(set(pins)) == 5


def test_workflows_ask_for_permissions_and_never_run_on_pull_request_target():
    workflows = [yaml.safe_load(text) for text in YAML if ".github/workflows/" in text]
    assert len(workflows) == 3
    for workflow in workflows:
        assert "permissions" in workflow
        assert "pull_request_target" not in str(workflow)
        if "pull_request" in workflow[True]:  # YAML 1.1 reads "on" as true
            assert "secrets." not in str(workflow)


def test_other_files_are_well_formed():
    (netlify,) = (tomllib.loads(text) for language, text in BLOCKS if language == "toml")
    assert netlify["build"]["environment"]["PYTHON_VERSION"] == "3.13"
    for line in re.findall(r"imgbuild ([a-z]+)[^`\n]*", "\n".join(text for _, text in BLOCKS)):
        assert line in VERBS or line in ("diff", "imgbuild"), line


def test_hooks_run_commands_that_exist_once_for_a_commit():
    assert [hook["id"] for hook in HOOKS] == ["imgbuild-check", "imgbuild-locked"]
    for hook in HOOKS:
        program, verb, *options = shlex.split(hook["entry"])
        assert (program, verb in VERBS, options in ([], ["--locked"])) == ("imgbuild", True, True)
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("python", False, True)
        assert hook["id"] in PAGE


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_passes_what_was_built_and_stops_what_was_not(project, hook):
    words = shlex.split(hook["entry"])[1:]
    project.manifest("version: 1\nimages:\n  hero: {prompt: A bay, size: 64x64, output: out/hero.png}\n")
    assert project.run("build").code == 0
    assert project.run(*words).code == 0
    project.edit("prompt: A bay", "promt: A harbour")
    assert project.run(*words).code == 2
    project.edit("promt: A harbour", "prompt: A harbour")
    assert project.run(*words).code == (3 if "--locked" in words else 0)


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("git-lfs")), reason="needs jq and git-lfs")
def test_the_locks_digests_are_the_oids_of_git_lfs(project):
    """The command of the page prints nothing, until a file is another one than the lock says."""
    (command,) = (text for language, text in BLOCKS if language == "sh")
    project.manifest("version: 1\nimages:\n  hero: {prompt: A bay, size: 64x64, output: out/hero.png}\n")
    project.write(".gitattributes", "out/** filter=lfs diff=lfs merge=lfs -text\n")

    def shell(line: str) -> str:
        identity = {
            f"GIT_{who}_{what}": "a@example.com"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=project.root,
            env={**project.environ, **identity},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout + done.stderr

    assert project.run("build").code == 0
    shell("git init -q && git lfs install --local && git add . && git commit -qm images")
    (oid,) = re.findall("oid sha256:([0-9a-f]{64})", shell("git show HEAD:out/hero.png"))
    assert oid == hashlib.sha256(project.read("out/hero.png")).hexdigest()
    assert shell(command) == ""
    project.write("out/hero.png", "another one")
    shell("git commit -qam retouched")
    assert oid in shell(command)
