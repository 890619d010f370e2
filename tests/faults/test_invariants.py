"""The oracle is no rubber stamp: each broken invariant is found and named."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from invariants import Snapshot, check_invariants, read_cache
from project_folder import STUDIO, ProjectFolder, Run
from zygote import Zygote

from imgbuild.emulator.options import EmulatorOptions
from imgbuild.emulator.server import running

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 64x64, output: out/hero.png}
  icon: {prompt: an anchor, size: 48x48, output: out/icon.png}
"""


@dataclass(frozen=True)
class Built:
    """A folder with a project that was built, and its cache; and the bill."""

    folder: Path
    bill: dict[str, Any]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Built:
    folder = tmp_path_factory.mktemp("once")
    for name in ("project", "home"):
        (folder / name).mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "IMGBUILD_CACHE_DIR": str(folder / "cache"),
        "STUDIO_KEY": "sk-canary-7f3a",
    }
    project = ProjectFolder(folder / "project", environ, zygote)
    with running(EmulatorOptions(latency=0)) as url:
        project.manifest(STUDIO.format(url=url) + IMAGES)
        zygote.json(project, "build")
        bill = httpx.get(f"{url}/_emulate/ledger", trust_env=False, verify=False).raise_for_status().json()
    check_invariants(project, bill)
    return Built(folder, bill)


@pytest.fixture
def built(project: ProjectFolder, once: Built) -> ProjectFolder:
    """A copy of it."""
    shutil.copytree(once.folder / "project", project.root, dirs_exist_ok=True)
    shutil.copytree(once.folder / "cache", cache(project))
    check_invariants(project, once.bill)
    return project


def cache(project: ProjectFolder) -> Path:
    return Path(project.environ["IMGBUILD_CACHE_DIR"])


def blob(project: ProjectFolder) -> Path:
    digest = project.lock["images"]["hero"]["source"]["digest"]
    return cache(project) / "blobs" / digest[:2] / digest


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def forget(project: ProjectFolder, key: str) -> None:
    with sqlite3.connect(cache(project) / "records" / "cache.db") as connection:
        connection.execute("DELETE FROM Cache WHERE key LIKE ?", (key,))
    connection.close()
    for sidecar in cache(project).glob("blobs/*/*.json"):
        sidecar.unlink()


def relock(project: ProjectFolder, change: Callable[[dict], None], **style) -> None:
    lock = project.lock
    change(lock)
    text = json.dumps(lock, **{"indent": 2, "sort_keys": True, **style})
    (project.root / "imgbuild.lock").write_text(text + "\n")


BREAKAGES: dict[str, Callable[[ProjectFolder], object]] = {
    "I1: a flipped bit": lambda p: flip(blob(p)),
    "I2: a blob without its file": lambda p: blob(p).unlink(),
    "I4: a torn output": lambda p: (p.root / "out/hero.png").write_bytes(p.read("out/hero.png")[:-20]),
    "I4: a stranger's output": lambda p: p.write("out/new.png", "mine"),
    "I5: another digest": lambda p: relock(
        p, lambda lock: lock["images"]["hero"]["source"].update(digest="0" * 64)
    ),
    "I5: no such take": lambda p: relock(p, lambda lock: lock["images"]["hero"].update(take=2)),
    "I5: half a lock": lambda p: p.write("imgbuild.lock", p.read("imgbuild.lock").decode()[:-40]),
    "I5: another order": lambda p: relock(p, lambda lock: None, indent=1),
    "I5: no record": lambda p: forget(p, "result/%"),
    "I7: a file in the home": lambda p: (Path(p.environ["HOME"]) / "log").write_text("x"),
    "I8: the key in a log": lambda p: p.write(".imgbuild/log", "Bearer sk-canary-7f3a"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_invariant_is_named(built: ProjectFolder, name: str):
    BREAKAGES[name](built)
    with pytest.raises(AssertionError, match=name.partition(":")[0]):
        check_invariants(built, None)
    (built.root / ".imgbuild/log").unlink(missing_ok=True)


def test_a_second_charge_is_found_unless_it_was_reported_as_unknown(built: ProjectFolder, once: Built):
    ledger = deepcopy(once.bill)
    ledger["charges"].append(ledger["charges"][0])
    prompt = ledger["charges"][0]["prompt"]
    with pytest.raises(AssertionError, match="I3: 2 takes of"):
        check_invariants(built, ledger)
    check_invariants(built, ledger, unknown=[prompt])
    check_invariants(built, ledger, takes={prompt: 2})
    ledger["charges"].append(ledger["charges"][0])
    with pytest.raises(AssertionError, match="I3: 3 takes of"):
        check_invariants(built, ledger, unknown=[prompt])


@pytest.mark.parametrize("how", ["write", "chmod", "add", "remove", "link"])
def test_a_changed_neighbour_is_found(built: ProjectFolder, outside: Snapshot, how: str):
    [folder] = outside.folders
    check_invariants(built, None, outside=outside)
    match how:
        case "write":
            (folder / "notes.txt").write_text("not yourz\n")
        case "chmod":
            (folder / "notes.txt").chmod(0o600)
        case "add":
            (folder / "deeper" / "more").touch()
        case "remove":
            (folder / "deeper/picture.png").unlink()
        case "link":
            (folder / "deeper" / "link").symlink_to("/etc/passwd")
    with pytest.raises(AssertionError, match="I7"):
        check_invariants(built, None, outside=outside)


def test_a_key_in_an_output_is_found(built: ProjectFolder):
    with pytest.raises(AssertionError, match="I8"):
        check_invariants(built, None, runs=[Run(0, "", "Authorization: Bearer sk-canary-7f3a")])


def test_what_the_test_did_itself_is_left_out(built: ProjectFolder):
    flip(blob(built))
    built.write("out/hero.png", "mine")
    check_invariants(built, None, damaged=[blob(built).name], retouched=["out/hero.png"])
    assert read_cache(cache(built)).broken == {blob(built).name}
