"""What tests of local pipelines ask a project folder."""

from __future__ import annotations

from pathlib import Path

from project_folder import ProjectFolder, Run
from torch_zygote import OPENED


def add(project: ProjectFolder, **images: str) -> None:
    """More images: for each name its members."""
    text = (project.root / "imgbuild.yaml").read_text()
    lines = (f"  {name}: {{{members}, output: out/{name}.png}}\n" for name, members in images.items())
    project.manifest(text + "".join(lines))


def models(project: ProjectFolder) -> Path:
    """The folder with the models that the project uses."""
    return project.root.parent / "models"


def opened(project: ProjectFolder, name: str) -> int:
    """How often Python opened a model's file so far."""
    log = Path(project.environ[OPENED])
    return log.read_text().splitlines().count(name) if log.exists() else 0


def failures(run: Run) -> dict[str, dict[str, str]]:
    """The errors of images that failed, by id."""
    return {e["id"]: e["error"] for e in run.events if e["event"] == "image" and e["status"] == "failed"}


def sources(project: ProjectFolder) -> dict[str, str]:
    """The digest of each accepted picture, as the pipeline gave it."""
    return {id: image["source"]["digest"] for id, image in project.lock["images"].items()}


def takes(project: ProjectFolder, id: str) -> list[str]:
    """The digests of an image's takes."""
    return [e["value"]["digest"] for e in project.json("takes", id).events if "value" in e]
