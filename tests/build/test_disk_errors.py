"""A disk that is full, read-only or used up: one line names it, nothing old is lost, what was paid is kept."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from project_folder import STUDIO, ProjectFolder, Run

IMAGES = """\
images:
  hero: {{prompt: "a lighthouse{mark}", size: 64x64, output: out/hero.png}}
  icon: {{prompt: "an anchor{mark}", size: 64x64, output: out/icon.webp}}
  logo: {{prompt: "a rope{mark}", size: 64x64, output: logo.jpg}}
"""
NOISE = re.compile(r"Traceback|Exception ignored|never retrieved|never awaited|[Uu]nclosed")
DEAD = ".imgbuild-0123456789abcdef.tmp"


@pytest.fixture
def built(project: ProjectFolder, emulator) -> ProjectFolder:
    """Three images that are built; then their prompts change."""
    write(project, emulator.url)
    project.json("build")
    emulator.reset()
    write(project, emulator.url, " at night")
    return project


def write(project: ProjectFolder, url: str, mark: str = "") -> None:
    project.manifest(STUDIO.format(url=url) + IMAGES.format(mark=mark))


def outputs(project: ProjectFolder) -> dict[str, bytes]:
    return {name: project.read(name) for name in ("out/hero.png", "out/icon.webp", "logo.jpg")}


def build(project: ProjectFolder, before: Callable[[], object]) -> Run:
    """Build in a process that did `before` first; it says nothing on standard error but what is in lines."""
    done = subprocess.run(
        [sys.executable, "-m", "imgbuild", "build", "--output-format", "json"],
        cwd=project.root,
        env=project.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=before,
        timeout=100,
    )
    assert not NOISE.search(done.stderr), done.stderr
    assert done.returncode in (0, 1), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return Run(done.returncode, done.stdout, done.stderr)


def messages(run: Run) -> list[str]:
    failed = [e["error"]["message"] for e in run.events if e["event"] == "image" and e.get("error")]
    return failed + [e["message"] for e in run.events if e["event"] == "error"]


def test_a_result_that_does_not_fit_is_fetched_by_the_next_build(
    built: ProjectFolder, emulator, tmp_path: Path
):
    built.manifest(built.read("imgbuild.yaml").decode().replace("64x64", "2048x2048"))
    old = outputs(built)

    # The records are smaller than this, the pictures larger.
    run = build(built, partial(resource.setrlimit, resource.RLIMIT_FSIZE, (150_000, 150_000)))

    assert run.code == 1
    assert len(emulator.ledger()["charges"]) == 3
    assert all(re.search(rf"cannot write {tmp_path}/cache/tmp/\S+: File too large", m) for m in messages(run))
    assert outputs(built) == old
    again = built.json("build")
    assert (again.summary["generated"], again.summary["resumed"], again.summary["submitted"]) == (3, 3, 0)
    assert len(emulator.ledger()["charges"]) == 3


def without_override() -> None:
    """Let permissions count for root, too: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH for what is run next."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):
            assert libc.prctl(24, capability, 0, 0, 0) == 0


@pytest.fixture
def mode(tmp_path: Path):
    """Changes permissions until the test ends; skips where they do not count."""
    probe = tmp_path / "probe"
    probe.mkdir(0o555)
    script = "import sys; open(sys.argv[1], 'w')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(probe / "x")], preexec_fn=without_override, capture_output=True
        )
    except subprocess.SubprocessError:
        pytest.skip("cannot give root's powers up")
    if done.returncode == 0:
        pytest.skip("permissions do not count here")
    changed: set[Path] = set()

    def change(path: Path, folders: int, files: int) -> None:
        changed.add(path)
        for found in [path, *path.rglob("*")]:
            found.chmod(folders if found.is_dir() else files)

    yield change
    for path in tuple(changed):
        change(path, 0o755, 0o644)


def test_a_read_only_output_folder(built: ProjectFolder, emulator, mode: Callable):
    old = outputs(built)
    mode(built.root / "out", 0o555, 0o644)

    run = build(built, without_override)

    assert run.code == 1
    assert sorted(messages(run)) == [
        f"cannot write {built.root}/out/{name}: Permission denied "
        "(check the owner and the permissions of the folder)"
        for name in ("hero.png", "icon.webp")
    ]
    assert outputs(built) == {**old, "logo.jpg": built.read("logo.jpg")}
    mode(built.root / "out", 0o755, 0o644)
    run = built.json("build")
    assert (run.summary["submitted"], run.summary["failed"]) == (0, 0)
    assert len(emulator.ledger()["charges"]) == 3


def test_an_unreadable_env_file_is_named(project: ProjectFolder, emulator, mode: Callable):
    write(project, emulator.url)
    mode(project.write(".env", "A=1\n"), 0o755, 0o000)

    run = build(project, without_override)

    assert (run.code, emulator.ledger()["charges"]) == (1, [])
    assert messages(run) == [f"cannot use {project.root}/.env: Permission denied"]


def test_an_env_file_that_is_no_text_is_named(project: ProjectFolder, emulator):
    write(project, emulator.url)
    (project.root / ".env").write_bytes(b"STUDIO_KEY=\xff\n")

    run = project.json("build", code=2)

    assert messages(run) == [f"{project.root}/.env is not UTF-8 text (byte 11)"]


FULL = """\
mount -t tmpfs -o size={size} tmpfs {cache} || exit 99
"$@" > full.jsonl 2> full.err; echo $? > full.code
mount -o remount,size=64m {cache} || exit 99
"$@" > space.jsonl 2> space.err; echo $? > space.code
"""


SIZES = ["16k", "32k", "64k", "96k", "128k", "200k"]


@pytest.mark.parametrize("size", SIZES if os.environ.get("IMGBUILD_TESTS_FULL") else SIZES[::2])
def test_a_disk_that_is_really_full(project: ProjectFolder, emulator, tmp_path: Path, size: str):
    (tmp_path / "cache").mkdir()
    inside = ["unshare", "--mount", "sh", "-c"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*inside, f"mount -t tmpfs tmpfs {tmp_path / 'cache'}"]).returncode
    ):
        pytest.skip("needs to be allowed to mount")
    write(project, emulator.url)
    command = [sys.executable, "-m", "imgbuild", "build", "--output-format", "json"]
    script = FULL.format(size=size, cache=tmp_path / "cache")

    done = subprocess.run([*inside, script, "sh", *command], cwd=project.root, env=project.environ)

    assert done.returncode == 0
    full, space = (read_run(project, name) for name in ("full", "space"))
    assert not NOISE.search(full.err + space.err)
    assert (full.code, space.code) == (1, 0), full.out + space.out
    assert messages(full)
    assert all(str(tmp_path) in message for message in messages(full))
    assert len(emulator.ledger()["charges"]) == 3
    assert len(outputs(project)) == 3


def read_run(project: ProjectFolder, name: str) -> Run:
    out, err, code = (project.read(f"{name}.{end}").decode() for end in ("jsonl", "err", "code"))
    assert all(json.loads(line) for line in out.splitlines())
    return Run(int(code), out, err)


def test_what_a_killed_build_left_beside_outputs_goes_with_the_next_that_writes_there(
    project: ProjectFolder, emulator
):
    write(project, emulator.url)
    project.json("build")
    for folder in ("out", "."):
        (project.root / folder / DEAD).write_bytes(b"half a picture")
    precious = project.write("out/.imgbuild-notes.tmp", "mine")

    assert project.json("build").counts() == {"unchanged": 3}
    assert (project.root / "out" / DEAD).exists()

    (project.root / "out" / "hero.png").unlink()
    assert project.json("build").counts() == {"restored": 1, "unchanged": 2}
    assert not (project.root / "out" / DEAD).exists()
    # Nothing was written in this folder: not even the lock has changed.
    assert (project.root / DEAD).exists()

    project.edit("a rope", "a knot")
    project.json("build")
    assert not (project.root / DEAD).exists()
    assert precious.read_text() == "mine"
