"""Whole builds against Gemini's dialect: pictures that come inside of JSON, and refusals that look like success."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from project_folder import ProjectFolder

MANIFEST = """\
version: 1
providers:
  google: {{type: gemini, base_url: {url}, api_key: "${{STUDIO_KEY}}"}}
defaults: {{provider: google, model: gemini-3.1-flash-image}}
images:
  fox: {{prompt: "a fox{mark}", size: 600x400, output: out/fox.png}}
  cub: {{prompt: a cub, references: ["@fox"], ratio: "16:9", resolution: 2k, output: out/cub.webp}}
"""


def test_pictures_are_made_paid_and_kept(project: ProjectFolder, emulator) -> None:
    project.manifest(MANIFEST.format(url=emulator.url, mark=""))
    # A size is covered by the cheapest: 512 has 3:2 as 632x424.
    assert project.json("plan").summary["cost"] == pytest.approx(0.045 + 0.101)
    run = project.json("build")
    assert run.counts() == {"generated": 2, "submitted": 2}
    assert run.summary["cost"] == pytest.approx(0.146)
    fox, cub = emulator.ledger()["charges"]
    assert (fox["size"], fox["references"]) == ("3:2 512", [])
    assert (cub["size"], len(cub["references"])) == ("16:9 2K", 1)
    sources = {id: entry["source"] for id, entry in project.lock["images"].items()}
    assert (sources["fox"]["width"], sources["cub"]["width"]) == (632, 2752)
    assert cub["references"] == [f"sha256:{sources['fox']['digest']}"]
    assert "747" in project.run("show", "fox").out
    assert project.json("build").counts() == {"unchanged": 2}
    assert len(emulator.ledger()["charges"]) == 2


@pytest.mark.parametrize("shape", ["prompt", "candidate", "words"])
def test_a_refusal_is_final_for_its_image_and_what_refers_to_it(
    project: ProjectFolder, start_emulator: Callable, shape: str
) -> None:
    emulator = start_emulator(gemini_refusal=shape)
    project.manifest(MANIFEST.format(url=emulator.url, mark=" [fault:refuse]"))
    run = project.json("build", code=1)
    errors = {e["id"]: e["error"] for e in run.events if e["event"] == "image"}
    assert errors["fox"]["kind"] == "refused"
    assert len(emulator.ledger()["charges"]) == 1


@pytest.mark.parametrize("fault", ["empty", "html", "wrong-format", "wrong-size", "429:1", "503:1"])
def test_what_comes_instead(project: ProjectFolder, start_emulator: Callable, fault: str) -> None:
    emulator = start_emulator(fault=(fault,))
    bad = fault in ("empty", "html")
    project.manifest(MANIFEST.format(url=emulator.url, mark="").partition("  cub:")[0])
    run = project.json("build", code=1 if bad else 0)
    if bad:
        [image] = [e for e in run.events if e["event"] == "image"]
        assert image["error"]["kind"] == "unusable"
    else:
        output = project.lock["images"]["fox"]["outputs"]["out/fox.png"]
        assert (output["width"], output["height"]) == (600, 400)
    assert len(emulator.ledger()["charges"]) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('ratio: "2:1"', "gemini-3.1-flash-image has no ratio 2:1"),
        ("resolution: 8k", "has no resolution 8k"),
        ("quality: high", "does not let anybody choose quality"),
        ("format: webp", "does not let anybody choose format"),
        ("seed: 5", "does not take a seed"),
        ("negative_prompt: blur", "does not take a negative_prompt"),
        ("params: {contents: []}", 'params cannot set "contents"'),
        ("model: gemini-2.5-flash-image, resolution: 2k", "has no resolution 2k"),
        ("model: gemini-3.1-flash-imag", 'did you mean "gemini-3.1-flash-image"?'),
    ],
)
def test_what_the_models_cannot_do_is_said_before_anything_is_sent(
    project: ProjectFolder, emulator, fields: str, words: str
) -> None:
    text = MANIFEST.format(url=emulator.url, mark="").replace("size: 600x400", fields)
    project.manifest(text)
    run = project.run("check")
    assert run.code == 2
    assert words in run.err
    assert emulator.ledger()["requests"] == {}
