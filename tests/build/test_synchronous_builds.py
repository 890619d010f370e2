"""Whole builds at services that answer at once: what is asked, paid and kept, and what is refused before."""

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
  studio: {{type: {type}, base_url: {url}, api_key: "${{STUDIO_KEY}}", timeout: 20s}}
defaults: {{provider: studio, model: gpt-image-2}}
images:
"""
PATHS = {"openai": "/v1/", "jimmyai-sync": ""}
EACH_TYPE = pytest.mark.parametrize("type", PATHS)


def write(project: ProjectFolder, type: str, url: str, images: dict[str, str]) -> None:
    """A manifest with one provider. `images` has fields by id; an output, and the id as prompt, are added."""
    text = STUDIO.format(type=type, url=url + PATHS[type])
    for id, fields in images.items():
        prompt = "" if fields.startswith("prompt:") else f'prompt: "{id}", '
        text += f"  {id}: {{{prompt}output: out/{id}.png, {fields}}}\n"
    project.manifest(text)


def failures(events: list[dict[str, Any]]) -> dict[str, str]:
    return {e["id"]: e["error"]["kind"] for e in events if e["event"] == "image" and e["status"] == "failed"}


@EACH_TYPE
def test_what_is_declared_is_asked_for_and_paid_once(
    project: ProjectFolder, emulator: Any, type: str
) -> None:
    images = {
        "card": "size: 1200x630, quality: low",
        "wide": "ratio: 16:9, resolution: 2k, format: webp",
        "ghost": "size: 1024x1024, background: transparent, quality: high",
        "again": 'size: 1024x1536, references: ["@card", "@ghost"]',
    }
    write(project, type, emulator.url, images)
    plan = project.json("plan")
    assert plan.counts()["generated"] == 4
    assert project.json("build").counts() == {"generated": 4, "submitted": 4}
    charges = {charge["prompt"]: charge for charge in emulator.ledger()["charges"]}
    assert {prompt: charge["size"] for prompt, charge in charges.items()} == {
        "card": "1200x640",
        "wide": "2560x1440",
        "ghost": "1024x1024",
        "again": "1024x1536",
    }
    locked = project.lock["images"]
    assert charges["again"]["references"] == [
        f"sha256:{locked[id]['source']['digest']}" for id in ("card", "ghost")
    ]
    assert (locked["card"]["provider"], locked["wide"]["source"]["format"]) == (type, "webp")
    output = locked["card"]["outputs"]["out/card.png"]
    assert (output["width"], output["height"]) == (1200, 630)
    assert "total_tokens" in project.run("show", "card").out
    assert project.json("build").counts() == {"unchanged": 4}
    assert len(emulator.ledger()["charges"]) == 4


def test_openai_knows_its_prices_and_gives_takes_together(project: ProjectFolder, emulator: Any) -> None:
    write(
        project,
        "openai",
        emulator.url,
        {
            "one": "size: 1024x1024, quality: high",
            "oblong": "size: 1536x1024, quality: high",
            "many": "size: 1024x1024, quality: low, takes: 12",
            "free": "ratio: auto, quality: low",
        },
    )
    assert project.json("plan").summary["cost"] == pytest.approx(0.211 + 0.165 + 13 * 0.006)
    project.json("build")
    charges = emulator.ledger()["charges"]
    assert sorted(charge["n"] for charge in charges) == [1, 1, 1, 2, 10]
    assert {charge["size"] for charge in charges if charge["prompt"] == "free"} == {"auto"}


def test_a_mask_goes_along(project: ProjectFolder, emulator: Any) -> None:
    draw_card(Size(96, 64), "photo", project.root / "photo.png")
    from imgbuild.images.vips import pyvips

    mask = pyvips.Image.black(96, 64, bands=4).copy(interpretation="srgb")
    mask.write_to_file(str(project.root / "mask.png"))
    write(
        project,
        "openai",
        emulator.url,
        {"hero": "size: 1024x1024, references: [photo.png], mask: mask.png, params: {user: me}"},
    )
    project.json("build")
    [charge] = emulator.ledger()["charges"]
    assert len(charge["references"]) == 2


REFUSED = [
    ("openai", "size: 3840x2176", "covers 3840x2176", "upscale"),
    ("openai", "size: 1920x1080, fit: exact", "cannot generate exactly 1920x1080", "nearest: 1920x1088"),
    ("openai", "ratio: 4:1", "no ratio 4:1", "allowed"),
    ("openai", "ratio: 16:9, resolution: 8k", "no resolution 8k", "allowed: 1k, 2k, 4k"),
    ("openai", "resolution: 0.5k", "no resolution 0.5k", "allowed: 1k, 2k, 4k"),
    ("openai", "quality: max", 'no quality "max"', "allowed: auto, low, medium, high"),
    ("openai", "quality: standard", 'no quality "standard"', "allowed"),
    ("openai", "background: transparent, format: jpeg", "cannot be generated as jpeg", "png or webp"),
    ("openai", "format: avif", 'no format "avif"', "allowed: png, jpeg, webp"),
    ("openai", "seed: 7", "does not take a seed", "leave seed out"),
    ("openai", "negative_prompt: fog", "does not take a negative_prompt", "leave"),
    ("openai", "mask: style.png", "masks the first reference", "add references"),
    ("openai", "params: {input_fidelity: high}", "input_fidelity", "allowed: complexity, moderation"),
    ("openai", "params: {size: auto}", 'params cannot set "size"', "in a field of its own"),
    ("openai", "params: {stream: true}", 'params cannot set "stream"', "leave it out"),
    ("openai", "model: gpt-image-1.5, size: 2048x2048", "covers 2048x2048", "upscale"),
    ("openai", "model: gpt-image-1.5, ratio: 16:9", "no ratio 16:9", "allowed: 2:3, 1:1, 3:2, auto"),
    ("openai", "references: [" + ", ".join(f"s{k}.png" for k in range(17)) + "]", "16 references at most", "17"),
    ("jimmyai-sync", "model: gpt-image-3", 'no model "gpt-image-3"', "gpt-image-2"),
    ("jimmyai-sync", "ratio: auto", "no ratio auto", ""),
    ("jimmyai-sync", "quality: xhigh", 'no quality "xhigh"', "allowed: auto, low, medium, high"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "fields", "message", "hint"), REFUSED)
def test_what_a_service_does_not_take_is_refused_before_anything_is_sent(
    project: ProjectFolder, emulator: Any, type: str, fields: str, message: str, hint: str
) -> None:
    for name in ("style", *(f"s{k}" for k in range(17))):
        draw_card(Size(64, 64), name, project.root / f"{name}.png")
    write(project, type, emulator.url, {"hero": fields})
    run = project.run("build")
    assert run.code == 2
    assert message in run.err
    assert hint in run.err
    assert emulator.ledger()["requests"] == {}


@EACH_TYPE
@pytest.mark.parametrize(
    ("fault", "kind", "charges"),
    [
        ("refuse", "refused", 2),
        ("refuse-400", "refused", 1),
        ("fail", "ambiguous", 2),
        ("500-after-accept", "ambiguous", 2),
        ("drop-after-accept", "ambiguous", 2),
        ("truncated", "ambiguous", 2),
        ("error-200", "invalid", 1),
        ("empty", "unusable", 2),
        ("html", "unusable", 2),
    ],
)
def test_one_image_fails_with_its_kind_and_the_other_is_built(
    project: ProjectFolder, emulator: Any, type: str, fault: str, kind: str, charges: int
) -> None:
    size = "size: 2048x2048"
    write(
        project,
        type,
        emulator.url,
        {"bad": f'prompt: "a cat [fault:{fault}]", {size}', "good": "size: 64x64"},
    )
    run = project.json("build", code=1)
    assert failures(run.events) == {"bad": kind}
    assert run.counts()["generated"] == 1
    assert len(emulator.ledger()["charges"]) == charges
    assert list(project.lock["images"]) == ["good"]


def test_links_and_a_compatible_servers_own_model(
    project: ProjectFolder, start_emulator: Callable[..., Any]
) -> None:
    emulator = start_emulator(any_model=True, images_answer="url")
    write(project, "openai", emulator.url, {"hero": "model: sd-turbo, size: 500x500, takes: 2"})
    assert project.json("build").counts() == {"generated": 1, "submitted": 2}
    assert {charge["size"] for charge in emulator.ledger()["charges"]} == {"512x512"}


def test_a_service_without_room_is_waited_for(
    project: ProjectFolder, start_emulator: Callable[..., Any]
) -> None:
    emulator = start_emulator(rate_limit=2, rate_window=0.5)
    write(project, "openai", emulator.url, {f"i{k}": "size: 1024x1024" for k in range(6)})
    assert project.json("build").counts()["generated"] == 6
    assert len(emulator.ledger()["charges"]) == 6
