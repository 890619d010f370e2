"""A scheduler may run anything on this machine: the manifest alone never decides to speak to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from project_folder import ProjectFolder
from terminal import on_a_terminal

if TYPE_CHECKING:
    from fleet_machines import Machines

CARDS = "version: 1\nimages:\n  fox: {{prompt: a fox, size: 48x48, output: out/fox.png}}\ndask: {{address: '{0}'}}\n"
NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture
def stranger(project: ProjectFolder) -> ProjectFolder:
    project.manifest(CARDS.format(NOBODY))
    project.environ["XDG_CONFIG_HOME"] = project.environ["HOME"] + "/config"
    return project


@pytest.mark.parametrize(
    "environ", [{}, {"CI": "true"}, {"IMGBUILD_TRUSTED_ORIGINS": "tcp://127.0.0.1:10,tls://127.0.0.1:9"}]
)
def test_an_address_that_only_the_manifest_names_is_refused(
    stranger: ProjectFolder, environ: dict[str, str]
) -> None:
    run = stranger.run("build", "--generate", **environ)
    assert run.code == 2
    assert f"the Dask scheduler at {NOBODY}, which you have not trusted yet" in run.err
    assert f"build with --dask {NOBODY}, or with --dask none to work here" in run.err
    assert not (stranger.root / "out").exists()


@pytest.mark.parametrize("words", [("check",), ("plan",), ("providers",), ("build", "--dask", "none")])
def test_looking_at_it_needs_no_word(stranger: ProjectFolder, words: tuple[str, ...]) -> None:
    assert stranger.run(*words).code == 0


def test_a_plan_names_what_the_user_has_not_agreed_to(stranger: ProjectFolder) -> None:
    run = stranger.json("plan")
    [warning] = [event["message"] for event in run.events if event["event"] == "warning"]
    assert warning == f"the work goes to a Dask scheduler that you have not trusted: {NOBODY}"


def test_a_dotenv_beside_the_manifest_vouches_for_nobody(stranger: ProjectFolder) -> None:
    stranger.write(".env", f"IMGBUILD_TRUSTED_ORIGINS={NOBODY}\n")
    assert stranger.run("build").code == 2


def test_the_environment_vouches_for_it_also_where_changes_are_built(
    stranger: ProjectFolder, fleet: Machines
) -> None:
    stranger.manifest(CARDS.format(fleet.address.upper().replace("TCP", "tcp")))
    run = stranger.json(
        "build", "--generate", CI="true", IMGBUILD_TRUSTED_ORIGINS=f"https://a.example,{fleet.address}"
    )
    assert run.counts() == {"generated": 1}


def test_the_command_line_is_the_users_word_for_this_build(stranger: ProjectFolder, fleet: Machines) -> None:
    assert stranger.json("build", "--dask", fleet.address).counts() == {"generated": 1}
    stranger.edit("a fox", "a hen")
    assert stranger.run("build").code == 2


def test_yes_on_a_terminal_is_remembered(stranger: ProjectFolder, fleet: Machines) -> None:
    stranger.manifest(CARDS.format(fleet.address))
    code, seen = on_a_terminal(stranger.root, stranger.environ, "build", answer="y\n")
    assert code == 0, seen
    assert f"May {fleet.address} be sent the work of this project" in " ".join(seen.split())
    stranger.edit("a fox", "a hen")
    assert stranger.json("build").counts() == {"generated": 1}


def test_an_address_in_the_environment_that_is_none_is_told(stranger: ProjectFolder) -> None:
    run = stranger.run("build", IMGBUILD_TRUSTED_ORIGINS="tcp://some where")
    assert run.code == 2
    assert 'IMGBUILD_TRUSTED_ORIGINS: "tcp://some where" is no address' in run.err
