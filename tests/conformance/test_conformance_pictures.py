"""Pictures from every dialect, by whole builds: what is listed can be had, and is charged once."""

from __future__ import annotations

import hashlib
import math
import os
from typing import Any

from declarations import shapes, words
from dialects import Dialect
from front import file_host
from workbench_project import Folder, service

from imgbuild.core.image import Size
from imgbuild.images.card import draw_card

FULL = bool(os.environ.get("IMGBUILD_TESTS_FULL"))
RESULTS = "GET /files/{task_id}/{name}"
ENOUGH = 2_400_000
"""Pixels. Larger pictures take seconds each; the sweep over requests covers their sizes anyway."""


def build_all(folder: Folder, dialect: Dialect, images: dict[str, dict[str, Any]], **options: Any) -> Any:
    """Build images at a service of their own, which is charged for exactly them; gives its ledger."""
    with service(**options) as running:
        folder.manifest({"studio": dialect.entry(running.url)}, images)
        run = folder.json("build")
        assert run.summary["generated"] == len(images)
        ledger = running.ledger()
        assert len(ledger["charges"]) == run.summary["submitted"]
        again = folder.json("build").summary
        assert (again["unchanged"], again["submitted"]) == (len(images), 0)
        assert running.ledger() == ledger
    return ledger


def image(number: int, dialect: Dialect, **fields: Any) -> dict[str, Any]:
    """An image with a prompt and an output of its own."""
    return {
        "prompt": f"picture {number}",
        "provider": "studio",
        "model": dialect.model,
        "output": f"out/{number}.png",
        **fields,
    }


def polls(ledger: Any) -> int:
    """How often a task was asked for."""
    requests = {route: n for route, n in ledger["requests"].items() if route.startswith("GET ")}
    return sum(requests.values()) - requests.get(RESULTS, 0)


def test_every_model_and_every_listed_word_and_shape_can_be_had(dialect: Dialect, folder: Folder) -> None:
    capabilities = dialect.capabilities()
    wishes = [
        fields
        for fields, size in shapes(capabilities)
        if FULL or size is None or (size.pixels <= ENOUGH and capabilities.grid is None)
    ]
    # The file is small, whatever is generated: only the request matters here.
    wishes += [{**fields, "size": "64x64"} for fields in words(capabilities)]
    wishes += [{"model": model, "size": "64x64"} for model in dialect.models()[1:]]
    images = {f"i{number}": image(number, dialect, **fields) for number, fields in enumerate(wishes)}
    ledger = build_all(folder, dialect, images)
    drawn = {charge["prompt"]: (charge["model"], charge["n"]) for charge in ledger["charges"]}
    most = capabilities.max_n
    assert drawn == {one["prompt"]: (one["model"], min(one.get("takes", 1), most)) for one in images.values()}
    assert (polls(ledger) == 0) == (dialect.at_once or not dialect.tasks)
    locked = folder.lock()
    for id, one in images.items():
        if "size" in one:
            (output,) = locked[id]["outputs"].values()
            assert f"{output['width']}x{output['height']}" == one["size"]


def test_takes_are_pictures_of_their_own_and_usage_is_kept(dialect: Dialect, folder: Folder) -> None:
    ledger = build_all(folder, dialect, {"hero": image(1, dialect, size="64x64", takes=3)}, latency=0.2)
    assert len(ledger["charges"]) == math.ceil(3 / dialect.capabilities().max_n)
    assert sum(charge["n"] for charge in ledger["charges"]) == 3
    assert (polls(ledger) > 0) == dialect.tasks
    (described,) = [e["value"] for e in folder.json("show", "hero").events if e["event"] == "data"]
    assert described["takes"] == [1, 2, 3]
    assert bool(described["usage"]) == dialect.usage
    blobs = [path for path, _ in folder.everything_written() if path.parent.parent.name == "blobs"]
    assert len({path.name for path in blobs}) >= 3
    source = folder.lock()["hero"]["source"]
    assert f"{source['width']}x{source['height']}" == ledger["charges"][0]["pixels"]


def test_references_arrive(dialect: Dialect, folder: Folder) -> None:
    limits = dialect.capabilities().references
    picture = folder.home / "style.png"
    draw_card(Size(64, 64), "style", picture)
    kinds: dict[str, list[str]] = {}
    with file_host(picture.read_bytes()) as host:
        if limits.max_count:
            kinds["url"] = [f"{host.url}/style.png"]
        if limits.max_count and limits.files:
            (folder.root / "refs").mkdir(parents=True)
            (folder.root / "refs/style.png").write_bytes(picture.read_bytes())
            kinds |= {"file": ["refs/style.png"], "image": ["@plain"]}
        if limits.max_count >= 3 and limits.files:
            kinds["all"] = ["@plain", "refs/style.png", f"{host.url}/style.png"]
        images = {"plain": image(0, dialect, size="64x64")}
        for number, (kind, references) in enumerate(kinds.items(), start=1):
            images[kind] = image(number, dialect, size="64x64", references=references)
        ledger = build_all(folder, dialect, images)
    counts = {charge["prompt"]: len(charge["references"]) for charge in ledger["charges"]}
    expected = {one["prompt"]: len(one.get("references", ())) for one in images.values()}
    assert counts == expected
    style = f"sha256:{hashlib.sha256(picture.read_bytes()).hexdigest()}"
    for charge in ledger["charges"]:
        if charge["prompt"] == images.get("file", {}).get("prompt"):
            assert charge["references"] == [style]


def test_what_a_model_does_not_take_is_refused_before_anything_is_sent(
    dialect: Dialect, folder: Folder
) -> None:
    capabilities = dialect.capabilities()
    limits = capabilities.references
    wrong: dict[str, dict[str, Any]] = {"ratio": {"ratio": "17:3"}, "size": {"size": "40000x40000"}}
    if capabilities.qualities is not None:
        wrong["quality"] = {"quality": "sublime"}
    if capabilities.formats is not None:
        wrong["format"] = {"format": "tiff"}
    if not capabilities.seed:
        wrong["seed"] = {"seed": 7}
    if not capabilities.negative_prompt:
        wrong["negative_prompt"] = {"negative_prompt": "text"}
    wrong["references"] = {"references": [f"https://e.example/{n}.png" for n in range(limits.max_count + 1)]}
    if not limits.files:
        wrong["files"] = {"references": ["@fine"]}
    images = {"fine": image(99, dialect)}
    images |= {id: image(n, dialect, **fields) for n, (id, fields) in enumerate(wrong.items())}
    with service() as running:
        folder.manifest({"studio": dialect.entry(running.url)}, images)
        errors = [e for e in folder.json("build", code=2).events if e["event"] == "error"]
        assert len(errors) == len(wrong), errors
        assert all(error["line"] for error in errors)
        assert running.ledger()["requests"] == {}
