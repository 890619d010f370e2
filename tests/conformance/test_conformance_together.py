"""All services in one manifest and one build, against one `imgbuild emulate`: the bill is what `plan` announced."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from dialects import DIALECTS, GATEWAYS
from workbench_project import Folder
from zygote import Zygote

from imgbuild.core.image import Size
from imgbuild.images.card import draw_card
from imgbuild.providers.registry import known_types, provider_type

UNSPOKEN = {"apimart"}
"""Examples of services that the emulator does not play."""
PROGRAM = """\
import json, pathlib, sys
request = json.load(sys.stdin)
assert request["prompt"] == "by a program"
sys.stdout.buffer.write(pathlib.Path("picture.png").read_bytes())
"""


def test_every_service_is_in_the_suite() -> None:
    services = {name for name in known_types() if not is_local(name)}
    assert services == {dialect.type for dialect in DIALECTS}


def test_every_described_gateway_is_in_the_suite_that_the_emulator_speaks() -> None:
    tried = {str(dialect).removeprefix("http-") for dialect in DIALECTS if dialect.type == "http"}
    assert tried | UNSPOKEN == {path.stem for path in GATEWAYS.glob("*.yaml")}


def is_local(name: str) -> bool:
    """Whether a type is a local engine."""
    kind = provider_type(name)
    assert kind is not None
    return kind.local


@pytest.fixture
def emulate(tmp_path: Path, zygote: Zygote) -> Iterator[str]:
    """The address of the real command's emulator."""
    shell = Folder(tmp_path / "shell", zygote)
    shell.root.mkdir(parents=True)
    server = shell.start("emulate", "--port", "0", "--latency", "100ms", "--output-format", "json")
    try:
        assert server.stdout is not None
        url = next(
            event["value"]["url"]
            for event in map(json.loads, server.stdout)
            if event["event"] == "data" and event["kind"] == "emulator"
        )
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)


def test_one_build_with_all_of_them(emulate: str, folder: Folder) -> None:
    local = {
        "cards": {"type": "placeholder"},
        "script": {"type": "command", "command": [sys.executable, "draw.py"]},
    }
    providers: dict[str, Any] = {**local}
    images: dict[str, Any] = {
        "card": {"provider": "cards", "prompt": "a card", "size": "64x64", "output": "out/card.png"},
        "drawn": {"provider": "script", "prompt": "by a program", "size": "64x64", "output": "out/drawn.png"},
    }
    for dialect in DIALECTS:
        name = str(dialect)
        providers[name] = dialect.entry(emulate)
        common = {"provider": name, "model": dialect.model, "size": "64x64"}
        for what, fields in {"one": {}, "several": {"takes": 3}}.items():
            id = f"{name}-{what}"
            images[id] = {**common, **fields, "prompt": f"{what} by {name}", "output": f"out/{id}.png"}
    folder.manifest(providers, images)
    (folder.root / "draw.py").write_text(PROGRAM)
    draw_card(Size(64, 64), "drawn", folder.root / "picture.png")
    assert folder.run("providers", "--trust", "script").code == 0
    plan = folder.json("plan")
    assert {e["id"] for e in plan.events if e["event"] == "action"} == set(images)
    build = folder.json("build")
    assert {id: e["status"] for id, e in build.images().items()} == dict.fromkeys(images, "generated")
    for id in images:
        assert (folder.root / f"out/{id}.png").read_bytes().startswith(b"\x89PNG")
    with httpx.Client(base_url=emulate, trust_env=False, verify=False) as http:
        ledger = http.get("/_emulate/ledger").json()
    assert build.summary["submitted"] == plan.summary["submitted"] == len(ledger["charges"])
    drawn = Counter()
    for charge in ledger["charges"]:
        drawn[charge["prompt"]] += charge["n"]
    assert drawn == {
        one["prompt"]: one.get("takes", 1) for one in images.values() if one["provider"] not in local
    }
    dialects = {charge["prompt"].split(" by ")[1]: charge["dialect"] for charge in ledger["charges"]}
    assert dialects == {str(dialect): dialect.spoken or dialect.type for dialect in DIALECTS}
    submissions = [n for route, n in ledger["requests"].items() if route.startswith("POST ")]
    assert sum(submissions) == plan.summary["submitted"]
    assert not any(route.endswith(" elsewhere") for route in ledger["requests"])
    assert folder.json("build").summary["submitted"] == 0
