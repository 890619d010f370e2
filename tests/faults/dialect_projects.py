"""Projects that speak every dialect of the emulator, and waiting for what their builds do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
from project_folder import ProjectFolder, Run
from zygote import Child

# The suite of dialects lies in a folder of its own, which pytest knows only once it has collected it.
sys.path.append(str(Path(__file__).parents[1] / "conformance"))

from dialects import DIALECTS, Dialect, manifest

TASK_DIALECTS = tuple(dialect for dialect in DIALECTS if dialect.tasks)
"""Those that answer with a task, which can be asked for again."""
UNIALL = next(dialect for dialect in DIALECTS if str(dialect) == "uniall")
KYY = next(dialect for dialect in DIALECTS if str(dialect) == "kyy")
OPENAI = next(dialect for dialect in DIALECTS if str(dialect) == "openai")
PRICE = 0.01
"""What each picture costs, in the manifests' pricing."""
JSON = ("--output-format", "json")

Fields = dict[str, Any]


def provider(dialect: Dialect, url: str, **more: Any) -> Fields:
    """A provider's entry for the service at `url`."""
    pricing = {"unit": "USD", "per_image": PRICE}
    return dialect.entry(url, **{"api_key": "${STUDIO_KEY}", "pricing": pricing, **more})


def image(dialect: Dialect, id: str, provider: str = "", **more: Any) -> Fields:
    """An image of its own, whose prompt has its id in brackets: that is how a gateway knows it."""
    return {
        "prompt": prompt(id),
        "provider": provider or str(dialect),
        "model": dialect.model,
        "size": "64x64",
        "output": f"out/{id}.png",
        **more,
    }


def prompt(id: str) -> str:
    """The prompt of an image."""
    return f"a harbour at first light ({id})"


def write(
    project: ProjectFolder, providers: Mapping[str, Fields], images: Mapping[str, Fields], **more: Any
) -> None:
    """The manifest."""
    project.manifest(manifest(providers, images, **more))


def write_all(project: ProjectFolder, url: str, dialects: Iterable[Dialect] = DIALECTS, **more: Any) -> None:
    """One image of each dialect, named for it; `more` is in each provider's entry."""
    dialects = tuple(dialects)
    providers = {str(dialect): provider(dialect, url, **more) for dialect in dialects}
    write(project, providers, {str(dialect): image(dialect, str(dialect)) for dialect in dialects})


def failures(run: Run) -> dict[str, str]:
    """The failure kind of each image that failed."""
    return {id: error["kind"] for id, error in errors(run).items()}


def errors(run: Run) -> dict[str, dict[str, str]]:
    """What is said of each image that failed."""
    return {e["id"]: e["error"] for e in run.events if e["event"] == "image" and e["status"] == "failed"}


def generated(run: Run) -> set[str]:
    """The images that were generated."""
    return {e["id"] for e in run.events if e["event"] == "image" and e["status"] == "generated"}


def listed(run: Run) -> list[dict[str, Any]]:
    """What `imgbuild jobs` lists."""
    return [e["value"] for e in run.events if e["event"] == "data" and e["kind"] == "job"]


def bill(url: str) -> dict[str, Any]:
    """The ledger of the emulator at this address."""
    with httpx.Client(base_url=url, trust_env=False, verify=False) as http:
        ledger: dict[str, Any] = http.get("/_emulate/ledger").raise_for_status().json()
    return ledger


def until(condition: Callable[[], object], child: Child) -> None:
    """Wait for what has to happen while a command runs."""
    while not condition():
        assert child.running, f"it ended too early\n{child.out}\n{child.err}"
        time.sleep(0.01)
