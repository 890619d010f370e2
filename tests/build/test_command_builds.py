"""Programs that draw: only with the user's word, once for each picture, and told apart in every key."""

from __future__ import annotations

import json
import sys

import pytest
from project_folder import ProjectFolder

DRAW = """\
import json, os, sys
import pyvips
request = json.load(sys.stdin)
with open("runs.log", "a") as log:
    log.write(json.dumps({"arguments": sys.argv[1:], "environ": sorted(os.environ), **request}) + "\\n")
if "forbidden" in request["prompt"]:
    sys.exit("no reason")
width, height = request.get("size", [64, 64])
shade = sum(request["prompt"].encode()) + request["take"] + len(sys.argv)
picture = pyvips.Image.black(width, height, bands=3) + shade % 200
sys.stdout.buffer.write(picture.cast("uchar").copy(interpretation="srgb").write_to_buffer(".png"))
"""
MANIFEST = f"""\
version: 1
providers:
  painter: {{type: command, command: ["{sys.executable}", draw.py], options: {{env: [PAINT_LEVEL]}}}}
defaults: {{provider: painter}}
images:
  fox: {{prompt: a fox, size: 80x40, output: out/fox.png}}
"""


@pytest.fixture
def painter(project: ProjectFolder) -> ProjectFolder:
    project.write("draw.py", DRAW)
    project.manifest(MANIFEST)
    project.environ["XDG_CONFIG_HOME"] = project.environ["HOME"] + "/config"
    return project


@pytest.fixture
def trusted(painter: ProjectFolder) -> ProjectFolder:
    assert painter.run("providers", "--trust", "painter").code == 0
    return painter


def runs(project: ProjectFolder) -> list[dict]:
    log = project.root / "runs.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


# The user's word


def test_nobody_runs_a_strangers_program(painter: ProjectFolder) -> None:
    run = painter.run("build")
    assert run.code == 2
    assert f'provider "painter" runs {sys.executable} draw.py env:[PAINT_LEVEL]' in run.err
    assert "imgbuild providers --trust painter" in run.err
    assert runs(painter) == []
    assert not (painter.root / "imgbuild.lock").exists()


@pytest.mark.parametrize("words", [("check",), ("plan",), ("build", "--placeholder"), ("providers",)])
def test_looking_at_it_needs_no_word(painter: ProjectFolder, words: tuple[str, ...]) -> None:
    assert painter.run(*words).code == 0
    assert runs(painter) == []


def test_a_word_for_the_program_is_remembered(painter: ProjectFolder) -> None:
    before = painter.run("providers").out
    assert ["command", sys.executable, "draw.py", "env:[PAINT_LEVEL]"] in [
        row.split() for row in before.splitlines()
    ]
    assert "imgbuild providers --trust painter" in before
    said = painter.run("providers", "--trust", "painter")
    assert said.out == f"painter may now run {sys.executable} draw.py env:[PAINT_LEVEL]\n"
    [after] = [event["value"] for event in painter.json("providers").events[1:]]
    assert (after["trusted"], after["local"], after["address"]) == (True, True, None)
    assert painter.json("build").counts() == {"generated": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("draw.py]", "draw.py, --more]"),
        ("[PAINT_LEVEL]", "[PAINT_LEVEL, STUDIO_KEY]"),
        ("  painter: {", "  other: {"),
    ],
)
def test_a_word_for_one_program_is_none_for_another(trusted: ProjectFolder, old: str, new: str) -> None:
    trusted.edit(old, new)
    if "other" in new:
        trusted.edit("provider: painter", "provider: other")
    assert trusted.run("build").code == 2
    assert runs(trusted) == []


def test_the_environment_names_the_provider_and_a_dotenv_cannot(painter: ProjectFolder) -> None:
    painter.write(".env", "IMGBUILD_TRUSTED_ORIGINS=painter\n")
    assert painter.run("build").code == 2
    trusted = "https://images.example, painter"
    assert painter.run("build", IMGBUILD_TRUSTED_ORIGINS="someone").code == 2
    assert painter.json("build", IMGBUILD_TRUSTED_ORIGINS=trusted).counts() == {"generated": 1}


def test_a_word_for_an_address_is_none_for_a_program_of_that_name(painter: ProjectFolder) -> None:
    address = "{type: uniall, base_url: https://images.example, api_key: '${STUDIO_KEY}'}"
    program = "{type: command, command: https://images.example}"
    images = "images: {a: {prompt: p, provider: painter, model: gpt-image-2, output: a.png}}\n"
    painter.manifest(f"version: 1\nproviders: {{painter: {address}}}\n{images}")
    assert painter.run("providers", "--trust", "painter").code == 0
    painter.manifest(f"version: 1\nproviders: {{painter: {program}}}\n{images}")
    assert painter.run("build").code == 2


# What is drawn, and how often


def test_it_draws_what_is_missing_and_nothing_twice(trusted: ProjectFolder) -> None:
    assert trusted.json("build").counts() == {"generated": 1}
    lock = trusted.lock["images"]["fox"]
    assert (lock["provider"], lock["source"]["width"], lock["source"]["height"]) == ("command", 80, 40)
    assert trusted.json("build").counts() == {"unchanged": 1}
    (trusted.root / "out/fox.png").unlink()
    assert trusted.json("build").counts() == {"restored": 1}
    assert len(runs(trusted)) == 1


def test_another_command_line_draws_again_and_the_first_is_still_known(trusted: ProjectFolder) -> None:
    trusted.json("build")
    trusted.edit("draw.py]", "draw.py, --bold]")
    trusted.run("providers", "--trust", "painter")
    assert trusted.json("build").counts() == {"generated": 1}
    trusted.edit("draw.py, --bold]", "draw.py]")
    assert trusted.json("build").counts() == {"restored": 1}
    assert [one["arguments"] for one in runs(trusted)] == [[], ["--bold"]]


def test_each_take_is_a_run_and_a_reference_is_a_file(trusted: ProjectFolder) -> None:
    trusted.edit("output: out/fox.png}", "takes: 3, seed: 5, params: {steps: 4}, output: out/fox.png}")
    cub = '  cub: {prompt: a cub, references: ["@fox"], background: transparent, output: out/cub.png}\n'
    trusted.manifest((trusted.root / "imgbuild.yaml").read_text() + cub)
    assert trusted.json("build").counts() == {"generated": 2}
    *foxes, cub_run = runs(trusted)
    assert sorted(one["take"] for one in foxes) == [1, 2, 3]
    assert all((one["size"], one["seed"], one["params"]) == ([80, 40], 5, {"steps": 4}) for one in foxes)
    assert cub_run["references"][0].startswith(trusted.environ["IMGBUILD_CACHE_DIR"])
    assert (cub_run["background"], "size" in cub_run) == ("transparent", False)


def test_keys_of_others_are_out_of_sight(trusted: ProjectFolder) -> None:
    trusted.write(".env", "PAINT_LEVEL=3\nOTHER_SECRET=x\n")
    trusted.json("build")
    [one] = runs(trusted)
    assert "PAINT_LEVEL" in one["environ"]
    assert not {"STUDIO_KEY", "OTHER_SECRET", "IMGBUILD_CACHE_DIR"} & set(one["environ"])


def test_free_programs_work_offline_and_cost_nothing(trusted: ProjectFolder) -> None:
    summary = trusted.json("build", "--offline").summary
    assert (summary["generated"], summary["submitted"], summary["cost"]) == (1, 0, 0)


def test_a_price_makes_it_a_service_that_is_paid(trusted: ProjectFolder) -> None:
    trusted.edit("type: command,", "type: command, pricing: {unit: EUR, per_image: 0.5},")
    assert trusted.run("build", "--offline").code == 1
    assert trusted.json("plan").summary["cost"] == 0.5
    summary = trusted.json("build").summary
    assert (summary["submitted"], summary["cost"], summary["unit"]) == (1, 0.5, "EUR")


def test_one_with_a_price_that_crashes_may_have_paid(trusted: ProjectFolder) -> None:
    trusted.edit("type: command,", "type: command, pricing: {per_image: 0.5},")
    trusted.edit("a fox", "a forbidden fox")
    run = trusted.json("build", code=1)
    [failed] = [e for e in run.events if e["event"] == "image"]
    assert failed["error"]["kind"] == "ambiguous"
    trusted.run("build")
    assert len(runs(trusted)) == 1
    trusted.run("build", "--retry-ambiguous")
    assert len(runs(trusted)) == 2


def test_a_free_one_is_simply_run_again(trusted: ProjectFolder) -> None:
    script = (trusted.root / "draw.py").read_text()
    for broken in ("print('<html>')", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"):
        trusted.write("draw.py", broken)
        assert trusted.run("build").code == 1
    trusted.write("draw.py", script)
    assert trusted.json("build").counts() == {"generated": 1}


def test_one_that_fails_says_why_and_the_others_are_drawn(trusted: ProjectFolder) -> None:
    bad = "  bad: {prompt: forbidden, output: out/bad.png}\n"
    trusted.manifest((trusted.root / "imgbuild.yaml").read_text() + bad)
    run = trusted.json("build", code=1)
    [failed] = [e for e in run.events if e["event"] == "image" and e["status"] == "failed"]
    assert failed["error"]["kind"] == "failed"
    assert failed["error"]["message"] == "painter: the program ended with exit code 1: no reason"
    assert run.counts() == {"generated": 1, "failed": 1}


def test_what_is_no_picture_is_kept_as_evidence(trusted: ProjectFolder) -> None:
    trusted.write("draw.py", "print('<html>')")
    run = trusted.json("build", code=1)
    [failed] = [e for e in run.events if e["event"] == "image"]
    assert failed["error"]["kind"] == "unusable"


@pytest.mark.parametrize(
    "entry",
    [
        "{type: command}",
        "{type: command, command: ''}",
        "{type: command, command: [a], options: {shell: true}}",
    ],
)
def test_a_wrong_entry_is_an_error_in_the_manifest(painter: ProjectFolder, entry: str) -> None:
    painter.manifest(
        f"version: 1\nproviders:\n  painter: {entry}\nimages: {{a: {{prompt: p, output: a.png}}}}\n"
    )
    run = painter.run("check")
    assert run.code == 2
    assert run.err.startswith('imgbuild.yaml:3:19: error: provider "painter": ')
