"""Another branch is checked out under a session: what either branch has is free, and no half of it is built."""

from __future__ import annotations

import subprocess

from project_folder import STUDIO, ProjectFolder
from watch_session import until

MAIN = {"bridge": "a bridge", "lake": "a lake", "tower": "a tower"}
NIGHT = {"bridge": "a bridge", "lake": "a lake at night", "moon": "the moon"}


def git(project: ProjectFolder, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=project.root, capture_output=True, text=True, env=project.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr


def write(project: ProjectFolder, url: str, prompts: dict[str, str]) -> None:
    for id, prompt in prompts.items():
        project.write(f"prompts/{id}.j2", prompt)
    lines = (
        f"  {id}: {{prompt_file: prompts/{id}.j2, size: 64x64, output: out/{id}.png}}\n" for id in prompts
    )
    project.manifest(STUDIO.format(url=url) + "images:\n" + "".join(lines))


def test_a_checkout_in_the_middle_of_a_build_costs_nothing_that_a_branch_has(project, start_emulator, watch):
    emulator = start_emulator(latency=0.8, jitter=0)
    git(project, "init", "-q")
    for branch, prompts in (("main", MAIN), ("night", NIGHT)):
        git(project, "checkout", "-q", "-b", branch)
        write(project, emulator.url, prompts)
        project.json("build")
        git(project, "add", "-A")
        git(project, "commit", "-qm", branch)
    known = {"a bridge", "a lake", "a tower", "a lake at night", "the moon"}
    assert {charge["prompt"] for charge in emulator.ledger()["charges"]} == known

    session = watch(project)
    assert session.round() == {}
    project.write("prompts/bridge.j2", "a bridge of stone")
    until(lambda: len(emulator.ledger()["charges"]) == 6, "the submission")
    git(project, "checkout", "-qf", "main")
    session.round()
    session.calm()
    # What was under way for the other branch arrives in the cache, and not in this one's files.
    git(project, "diff", "--exit-code")
    assert project.json("plan").counts() == {"unchanged": 3}
    session.skip()
    git(project, "checkout", "-q", "night")
    session.round()
    session.calm()
    git(project, "diff", "--exit-code")
    session.skip()
    project.write("prompts/bridge.j2", "a bridge of stone")
    assert session.round() == {"derived": 1}
    assert len(emulator.ledger()["charges"]) == 6
    assert session.errors() == []
