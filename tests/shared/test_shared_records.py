"""Records of a shared cache are kept here with the bytes they name, also if these are here already."""

from __future__ import annotations

import shutil
from pathlib import Path

from project_folder import ProjectFolder

HERO = """\
images:
  hero: {prompt: a lighthouse, size: 120x63, output: out/hero.png}
"""


def cache_of(project: ProjectFolder) -> Path:
    return Path(project.environ["IMGBUILD_CACHE_DIR"])


def lose_records(project: ProjectFolder) -> None:
    """As if a backup had only the blobs, or the process had died before it wrote what they are."""
    shutil.rmtree(cache_of(project) / "records")
    for sidecar in (cache_of(project) / "blobs").glob("*/*.json"):
        sidecar.unlink()


def forget_outputs(project: ProjectFolder) -> None:
    (project.root / "imgbuild.lock").unlink()
    (project.root / "out/hero.png").unlink()


def test_bytes_without_a_record_get_it_and_nobody_pays_again_without_the_remote(folder, builder, emulator):
    first = builder("first", folder, HERO)
    first.json("build")
    lose_records(first)
    forget_outputs(first)
    assert first.json("build").counts() == {"restored": 1}
    forget_outputs(first)
    first.edit(f"cache: {{remote: '{folder.address}'}}\n", "")
    assert first.json("build").counts() == {"restored": 1}
    assert len(emulator.ledger()["charges"]) == 1


def test_damaged_bytes_are_fetched_anew_before_a_record_names_them(folder, builder, emulator):
    first = builder("first", folder, HERO)
    first.json("build")
    source = first.lock["images"]["hero"]["source"]["digest"]
    lose_records(first)
    forget_outputs(first)
    blob = cache_of(first) / "blobs" / source[:2] / source
    blob.chmod(0o644)
    blob.write_bytes(b"something else")
    assert first.json("build").counts() == {"restored": 1}
    assert first.json("cache", "verify").events[-1]["value"]["corrupt"] == []
    forget_outputs(first)
    assert first.json("build", "--offline").counts() == {"restored": 1}
    assert len(emulator.ledger()["charges"]) == 1
