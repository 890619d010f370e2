"""What goes wrong at a service: the other images are built, the bill and the words are right."""

from __future__ import annotations

import pytest
from project_folder import STUDIO, ProjectFolder

import imgbuild
from imgbuild.run.build import BuildOptions

IMAGES = """\
images:
  bad: {{prompt: "a cat{fault}", size: 64x64, output: out/bad.png}}
  good: {{prompt: a dog, size: 64x64, output: out/good.png}}
"""


def write(project: ProjectFolder, url: str, fault: str | None = None, more: str = "") -> None:
    """Two images, one of which asks the emulator for a fault in its prompt."""
    mark = f" [fault:{fault}]" if fault else ""
    project.manifest(STUDIO.format(url=url) + more + IMAGES.format(fault=mark))


@pytest.mark.parametrize("fault", ["fail:1", "refuse:1", "refuse-400:1", "error-200:1"])
def test_what_certainly_failed_is_tried_again_by_the_next_build(project: ProjectFolder, emulator, fault: str):
    write(project, emulator.url, fault)
    project.json("build", code=1)
    assert project.json("build").counts() == {"generated": 1, "unchanged": 1, "submitted": 1}


def test_the_references_of_a_failed_image_fail_with_it(project: ProjectFolder, emulator):
    write(project, emulator.url, "fail")
    project.edit("prompt: a dog", 'references: ["@bad"], prompt: a dog')
    run = project.json("build", code=1)
    assert run.counts()["failed"] == 2
    assert len(emulator.ledger()["charges"]) == 1


def test_max_cost_stops_before_it_is_passed(project: ProjectFolder, emulator):
    images = "".join(f"  i{n}: {{prompt: p{n}, size: 64x64, output: out/{n}.png}}\n" for n in range(5))
    project.manifest(STUDIO.format(url=emulator.url) + "images:\n" + images)
    run = project.json("build", "--max-cost", "0.03", code=4)
    assert run.counts() == {"generated": 3, "failed": 2, "submitted": 3}
    assert run.summary["cost"] == 0.03
    assert len(emulator.ledger()["charges"]) == 3
    assert project.json("build", "--max-cost", "0.02").counts()["generated"] == 2


def test_confirm_above_needs_a_yes(project: ProjectFolder, emulator):
    write(project, emulator.url, more="budget: {confirm_above: 0.01}\n")
    run = project.run("build")
    assert run.code == 4
    assert "--yes" in run.err
    assert emulator.ledger()["charges"] == []
    project.json("build", "--yes")


def test_a_missing_key_variable_stops_only_builds_that_send(project: ProjectFolder, emulator):
    write(project, emulator.url)
    project.environ.pop("STUDIO_KEY")
    run = project.run("build")
    assert run.code == 2
    assert "STUDIO_KEY" in run.err
    assert project.run("plan").code == project.run("check").code == 0
    project.write(".env", "STUDIO_KEY=sk-canary-from-the-file\n")
    project.json("build")
    (project.root / ".env").unlink()
    assert project.json("build").counts() == {"unchanged": 2}


def test_an_address_that_nobody_trusts_gets_no_key(project: ProjectFolder):
    write(project, "http://gateway.invalid")
    run = project.run("build")
    assert run.code == 2
    assert "providers --trust studio" in run.err
    assert project.run("providers", "--trust", "studio").code == 0
    assert project.run("build", "--max-cost", "0").code == 4
    assert (
        project.run("build", "--max-cost", "0", IMGBUILD_TRUSTED_ORIGINS="http://gateway.invalid").code == 4
    )


@pytest.mark.parametrize("answer", [True, False])
def test_on_a_terminal_a_build_asks_once_whether_an_address_may_have_the_key(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch, answer: bool
):
    write(project, "http://gateway.invalid")
    for name in ("STUDIO_KEY", "IMGBUILD_CACHE_DIR", "HOME"):
        monkeypatch.setenv(name, project.environ[name])
    questions: list[str] = []

    def confirm(question: str) -> bool:
        questions.append(question)
        return answer

    def build() -> int:
        return imgbuild.build(imgbuild.load(project.root), BuildOptions(max_cost=0), confirm=confirm)

    if answer:
        assert (build(), build()) == (4, 4)
    else:
        with pytest.raises(imgbuild.ImgbuildError):
            build()
    assert questions == ["May the key of studio be sent to http://gateway.invalid, now and later?"]


def test_a_dot_env_cannot_vouch_for_an_address(project: ProjectFolder):
    write(project, "http://gateway.invalid")
    project.write(".env", "IMGBUILD_TRUSTED_ORIGINS=http://gateway.invalid\n")
    assert project.run("build").code == 2


def test_offline_builds_what_it_can(project: ProjectFolder, emulator):
    write(project, emulator.url)
    project.json("build", "good")
    (project.root / "out/good.png").unlink()
    assert project.json("build", "--offline", code=1).counts() == {"restored": 1, "failed": 1}
