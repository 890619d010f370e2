"""Whole builds at jimmyai and kyy: what is sent and paid, and what is refused before either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from project_folder import ProjectFolder

from imgbuild.core.image import Size
from imgbuild.images.card import draw_card

STUDIO = """\
version: 1
providers:
  studio:
    type: {type}
    base_url: {url}
    api_key: ${{STUDIO_KEY}}
    poll_interval: 50ms
    options: {options}
defaults: {{provider: studio, model: gpt-image-2}}
images:
"""
PATHS = {"jimmyai": "", "kyy": "/kyyReactApiServer"}
EACH_TYPE = pytest.mark.parametrize("type", PATHS)


def write(project: ProjectFolder, type: str, url: str, images: dict[str, str], options: str = "{}") -> None:
    """A manifest with one provider. `images` has fields by id; an output, and the id as prompt, are added."""
    text = STUDIO.format(type=type, url=url + PATHS[type], options=options)
    for id, fields in images.items():
        text += f'  {id}: {{prompt: "{id}", output: out/{id}.png, {fields}}}\n'
    project.manifest(text)


def asked(emulator: Any) -> dict[str, str]:
    """What the bill says of shapes, by prompt."""
    return {charge["prompt"]: charge["size"] for charge in emulator.ledger()["charges"]}


@EACH_TYPE
def test_what_is_declared_is_asked_for_and_paid_once(
    project: ProjectFolder, emulator: Any, type: str
) -> None:
    images = {
        "plain": "quality: medium",
        "wide": "ratio: 16:9",
        "alike": "ratio: 32:18",
        "tall": "ratio: 9:21, resolution: 2k, quality: high",
        "sharp": "resolution: 2k",
        "banner": "size: 640x360, ratio: 16:9",
        "banana": "model: nano-banana-pro, ratio: 3:2, resolution: 2k",
    }
    write(project, type, emulator.url, images)
    assert project.json("build").counts() == {"generated": 7, "submitted": 7}
    service_default, tier = ("auto", " 1k") if type == "jimmyai" else ("1:1", "")
    assert asked(emulator) == {
        "plain": f"{service_default}{tier}",
        "wide": f"16:9{tier}",
        "alike": f"16:9{tier}",
        "tall": "9:21 2k",
        "sharp": f"{service_default} 2k",
        "banner": "16:9 1k",
        "banana": "3:2 2k",
    }
    output = project.lock["images"]["banner"]["outputs"]["out/banner.png"]
    assert (output["width"], output["height"]) == (640, 360)
    assert project.lock["images"]["banana"]["provider"] == type
    assert project.json("build").counts() == {"unchanged": 7}
    assert len(emulator.ledger()["charges"]) == 7


@pytest.mark.parametrize("size", ["1024x1024", "1536x1024", "2048x1152", "2160x3840"])
def test_kyy_is_asked_for_its_own_sizes_as_sizes(project: ProjectFolder, emulator: Any, size: str) -> None:
    write(project, "kyy", emulator.url, {"hero": f"size: {size}, fit: exact"})
    project.json("build")
    assert asked(emulator) == {"hero": size}


REFUSED = [
    ("jimmyai", "resolution: 4k", "no ratio auto at 4k", "ratios at 4k: 9:21, 1:2, 9:16, 16:9, 2:1, 21:9"),
    ("jimmyai", "ratio: auto, resolution: 4k", "no ratio auto at 4k", "16:9"),
    ("jimmyai", "ratio: 1:1, resolution: 4k", "no ratio 1:1 at 4k", "16:9"),
    ("jimmyai", "size: 2880x2880, resolution: 4k", "nothing that the service generates covers", "upscale"),
    ("jimmyai", "ratio: 7:4", "no ratio 7:4", "allowed: "),
    ("jimmyai", "quality: auto", 'no quality "auto"', "allowed: low, medium, high"),
    ("jimmyai", "model: nano-banana, quality: low", "does not let anybody choose quality", "leave quality out"),
    ("jimmyai", "model: nano-banana, resolution: 2k", "no resolution 2k", "allowed: 1k"),
    ("jimmyai", "model: nano-banana-3", 'no model "nano-banana-3"', "did you mean"),
    ("jimmyai", "format: webp", "does not let anybody choose format", "leave format out"),
    ("jimmyai", "background: transparent", "does not let anybody choose background", "leave"),
    ("jimmyai", "seed: 7", "does not take a seed", "leave seed out"),
    ("jimmyai", "negative_prompt: blur", "does not take a negative_prompt", "leave"),
    ("jimmyai", "params: {n: 2, ratio: 1:1}", 'params cannot set "ratio"', "in a field of its own"),
    ("kyy", "ratio: auto", "no ratio auto", "allowed: "),
    ("kyy", "ratio: 3:1", "no ratio 3:1", "allowed: 9:21, 1:2, 9:16"),
    ("kyy", "references: [style.png]", "references as URLs only", "give its URL"),
    ("kyy", "model: gpt-image-2-r, quality: low", "does not let anybody choose quality", "leave"),
    ("kyy", "model: gpt-image-2-r, resolution: 2k", "no resolution 2k", "allowed: 1k"),
    ("kyy", "model: nano-banana-2, resolution: 4k", "no resolution 4k", "allowed: 1k"),
    ("kyy", "model: nano-banana, ratio: 2:1", "no ratio 2:1", "allowed: "),
    ("kyy", "params: {size: 1024x1024}", 'params cannot set "size"', "in a field of its own"),
    ("kyy", "mask: style.png", "does not take a mask", "leave mask out"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "fields", "message", "hint"), REFUSED)
def test_what_a_service_does_not_take_is_refused_before_anything_is_sent(
    project: ProjectFolder, emulator: Any, type: str, fields: str, message: str, hint: str
) -> None:
    draw_card(Size(64, 64), "style", project.root / "style.png")
    write(project, type, emulator.url, {"hero": fields})
    for command in ("check", "build"):
        run = project.run(command)
        assert run.code == 2
        assert message in run.err
        assert hint in run.err
    assert emulator.ledger()["requests"] == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{reference_encodings: base64}", "reference_encoding"),
        ("{reference_encoding: hex}", "data-uri, base64"),
    ],
)
def test_an_option_that_jimmyai_does_not_have_is_a_manifest_error(
    project: ProjectFolder, options: str, words: str
) -> None:
    write(project, "jimmyai", "http://127.0.0.1:9", {"hero": "ratio: 1:1"}, options)
    run = project.run("check")
    assert run.code == 2
    assert words in run.err
    assert "imgbuild.yaml:4:" in run.err


@pytest.mark.parametrize("encoding", ["data-uri", "base64"])
def test_files_and_other_images_are_references_at_jimmyai(
    project: ProjectFolder, start_emulator: Callable[..., Any], encoding: str
) -> None:
    emulator = start_emulator(jimmyai_references=encoding)
    draw_card(Size(64, 64), "style", project.root / "style.png")
    images = {"hero": "ratio: 1:1", "icon": 'ratio: 1:1, references: [style.png, "@hero"]'}
    write(project, "jimmyai", emulator.url, images, f"{{reference_encoding: {encoding}}}")
    project.json("build")
    by_prompt = {charge["prompt"]: charge for charge in emulator.ledger()["charges"]}
    master = project.lock["images"]["hero"]["source"]["digest"]
    assert len(by_prompt["icon"]["references"]) == 2
    assert by_prompt["icon"]["references"][1] == f"sha256:{master}"


def test_kyy_is_given_the_address_of_a_reference(project: ProjectFolder, emulator: Any) -> None:
    write(project, "kyy", emulator.url, {"hero": "ratio: 1:1"})
    project.json("build")
    task = emulator.ledger()["charges"][0]["task_id"]
    url = f"{emulator.url}/files/{task}/1.png"
    write(project, "kyy", emulator.url, {"icon": f'ratio: 1:1, references: ["{url}"]'})
    project.json("build")
    assert emulator.ledger()["charges"][1]["references"] == [url]


@EACH_TYPE
@pytest.mark.parametrize(
    ("fault", "kind", "paid"),
    [
        ("fail", "failed", 2),
        ("refuse", "refused", 2),
        ("refuse-400", "refused", 1),
        ("error-200", "invalid", 1),
        ("drop-after-accept", "ambiguous", 2),
        ("500-after-accept", "ambiguous", 2),
        ("expired-link", "unusable", 2),
        ("truncated", "unusable", 2),
        ("html", "unusable", 2),
    ],
)
def test_one_image_fails_with_its_kind_and_the_other_is_built(
    project: ProjectFolder, emulator: Any, type: str, fault: str, kind: str, paid: int
) -> None:
    write(project, type, emulator.url, {"good": "ratio: 1:1", "bad": "ratio: 1:1"})
    project.edit('"bad"', f'"bad [fault:{fault}]"')
    run = project.json("build", code=1)
    [failed] = [e for e in run.events if e["event"] == "image" and e["status"] == "failed"]
    assert (failed["id"], failed["error"]["kind"]) == ("bad", kind)
    assert len(emulator.ledger()["charges"]) == paid
    assert list(project.lock["images"]) == ["good"]


@EACH_TYPE
def test_what_passes_by_itself_is_waited_out(
    project: ProjectFolder, start_emulator: Callable[..., Any], type: str
) -> None:
    emulator = start_emulator(latency=0.1)
    faults = ("503:1", "poll-500", "poll-drop", "flaky-link", "unknown-status", "wrong-size")
    write(project, type, emulator.url, {f"i{n}": "size: 64x64" for n in range(len(faults))})
    for n, fault in enumerate(faults):
        project.edit(f'"i{n}"', f'"i{n} [fault:{fault}]"')
    assert project.json("build").counts()["generated"] == len(faults)
    assert len(emulator.ledger()["charges"]) == len(faults)


def test_what_was_paid_at_one_is_not_paid_again_at_the_other(project: ProjectFolder, emulator: Any) -> None:
    images = {"hero": "ratio: 16:9, resolution: 2k", "icon": "size: 512x512"}
    write(project, "jimmyai", emulator.url, images)
    project.json("build")
    write(project, "kyy", emulator.url, images)
    assert project.json("build").summary["submitted"] == 0
    assert len(emulator.ledger()["charges"]) == 2
