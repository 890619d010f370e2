"""A fleet does what this machine would do, byte for byte, and what is paid for is none of its business."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from project_folder import STUDIO, ProjectFolder

if TYPE_CHECKING:
    from fleet_machines import Machines

CARDS = """\
version: 1
images:
  hero:
    prompt: a hill
    size: 320x180
    output: out/hero.png
    derive: [{widths: [80, 160], formats: [avif, webp], output: "out/hero-{{ width }}.{{ format }}"}]
    embed_prompt: true
  fox: {prompt: a fox, size: 96x96, output: out/fox.jpg}
  odd: {prompt: an owl, ratio: 3:2, output: out/owl.webp, derive: [{scale: 0.25, palette: 16, output: out/owl.png}]}
atlases:
  all: {images: fox, output: out/all.png, data: out/all.json, format: texturepacker-hash}
"""
DRAWN = """\
  base: {prompt: a base, size: 64x48, output: out/base.png}
  fox: {prompt: a fox, size: 64x48, takes: 2, references: ["@base"], output: out/fox.png}
"""


def outputs(project: ProjectFolder) -> dict[str, bytes]:
    return {name: data for name, data in project.files().items() if name.startswith("out/")}


def runs(project: ProjectFolder) -> list[dict]:
    log = project.root / "runs.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_fleet_makes_the_bytes_that_are_made_here(
    new_project: Callable[..., ProjectFolder], fleet: Machines
) -> None:
    here, there = new_project("here", "cache-here"), new_project("there", "cache-there")
    for project in (here, there):
        project.manifest(CARDS)
    assert here.json("build").counts() == {"generated": 3, "derived": 1}
    run = there.json("build", "--dask", fleet.address)
    assert run.counts() == {"generated": 3, "derived": 1}
    assert run.err == ""
    assert outputs(there) == outputs(here)
    assert len(outputs(here)) == 10
    assert there.lock == here.lock
    assert there.json("build").counts() == {"unchanged": 3}


def test_programs_are_run_by_workers(painter: Callable[..., ProjectFolder], fleet: Machines) -> None:
    here, there = painter(DRAWN, "here"), painter(DRAWN, "there")
    assert here.json("build").counts() == {"generated": 2}
    assert there.json("build", "--dask", fleet.address).counts() == {"generated": 2}
    assert outputs(there) == outputs(here)
    assert there.lock == here.lock
    workers = {process.pid for process in fleet.workers.values()}
    assert {run["worker"] for run in runs(there)} <= workers
    assert len(runs(there)) == 3
    # A worker has its own environment, and nothing of this one's.
    assert all("PAINT_LEVEL" not in run["environ"] for run in runs(there))
    assert all(run["environ"]["HOME"] == str(fleet.folder) for run in runs(there))


def test_what_a_program_says_is_told_as_if_it_ran_here(
    painter: Callable[..., ProjectFolder], fleet: Machines
) -> None:
    project = painter(
        "  fox: {prompt: a fox, size: 8x8, output: out/fox.png}\n  ox: {prompt: an ox, output: out/ox.png}\n"
    )
    project.write("draw.py", "import sys\nsys.exit('no paint left') if 'fox' in sys.stdin.read() else None\n")
    run = project.json("build", "--dask", fleet.address, code=1)
    errors = {event["id"]: event["error"] for event in run.events if event["event"] == "image"}
    assert errors["fox"]["kind"] == "failed"
    assert "painter: the program ended with exit code 1: no paint left" in errors["fox"]["message"]
    assert errors["ox"]["kind"] == "unusable"


def test_a_worker_without_the_projects_folder_says_so(
    painter: Callable[..., ProjectFolder], fleet: Machines
) -> None:
    from imgbuild.providers.base import Request
    from imgbuild.run import fleet_work
    from imgbuild.run.fleet_values import Engine, Failed

    command = {"command": ["true"]}
    engine = fleet_work.provider_type("command").configured(command).engine  # type: ignore[union-attr]
    order = Engine("command", json.dumps(command), engine, "painter", "/no/such/folder", 5.0)
    answer = fleet.client.submit(
        fleet_work.generate, fleet_work.versions(), order, Request("a fox"), {}, pure=False
    ).result(timeout=60)
    assert isinstance(answer, Failed)
    assert "has no folder /no/such/folder" in answer.message
    assert "worker ann" in answer.message or "worker bob" in answer.message
    assert "--dask none" in str(answer.remedy)


def test_what_is_paid_for_is_sent_from_here_and_no_key_goes_to_the_fleet(
    project: ProjectFolder, emulator: Any, fleet: Machines
) -> None:
    project.manifest(
        STUDIO.format(url=emulator.url)
        + "images:\n"
        + "".join(f"  i{n}: {{prompt: picture {n}, size: 256x256, output: out/{n}.webp}}\n" for n in range(4))
    )
    run = project.json("build", "--dask", fleet.address)
    assert run.counts() == {"generated": 4, "submitted": 4}
    assert emulator.ledger()["total"]["charges"] == 4
    assert b"sk-canary" not in fleet.known_of()


def test_a_program_with_a_price_stays_here(painter: Callable[..., ProjectFolder], fleet: Machines) -> None:
    project = painter("  fox: {prompt: a fox, size: 8x8, output: out/fox.png}\n")
    project.edit("options: {env", "pricing: {per_image: 0.5}, options: {env")
    run = project.json("build", "--dask", fleet.address)
    assert run.summary["cost"] == 0.5
    assert runs(project)[0]["worker"] not in {process.pid for process in fleet.workers.values()}
    assert runs(project)[0]["environ"]["PAINT_LEVEL"] == "7"


def test_masters_come_from_the_shared_cache_where_it_has_them(
    new_project: Callable[..., ProjectFolder], fleet: Machines
) -> None:
    shared = f"cache: {{remote: 'file://{fleet.folder}/shared'}}\n"
    first, second = new_project("first", "cache-first"), new_project("second", "cache-second")
    first.manifest(CARDS + shared)
    assert first.json("build").counts() == {"generated": 3, "derived": 1}
    second.manifest((CARDS + shared).replace("80, 160", "40, 120"))
    run = second.json("build", "--dask", fleet.address)
    assert run.counts() == {"restored": 2, "derived": 2}
    assert (run.err, [e for e in run.events if e["event"] == "warning"]) == ("", [])
    local = new_project("local", "cache-local")
    local.manifest(CARDS.replace("80, 160", "40, 120"))
    local.json("build")
    assert outputs(second) == outputs(local)


def test_workers_that_cannot_read_the_shared_cache_are_sent_the_bytes(
    new_project: Callable[..., ProjectFolder], fleet: Machines, tmp_path: object
) -> None:
    # A folder that leads elsewhere for the workers: they run in another one.
    first, second = new_project("first", "cache-first"), new_project("second", "cache-second")
    shared = "cache: {remote: 'file:///proc/self/cwd/../shared'}\n"
    first.manifest(CARDS + shared)
    first.json("build")
    second.manifest((CARDS + shared).replace("80, 160", "40, 120"))
    run = second.json("build", "--dask", fleet.address)
    assert run.counts() == {"restored": 2, "derived": 2}
    [warning] = [event["message"] for event in run.events if event["event"] == "warning"]
    assert "workers cannot read the shared cache" in warning


def test_nothing_of_dask_is_imported_without_the_option(new_project: Callable[..., ProjectFolder]) -> None:
    project = new_project()
    project.manifest(CARDS)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "imgbuild", "build"],
        cwd=project.root,
        env=project.environ,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "imgbuild.run.execute" in imported
    assert not {name for name in imported if name.partition(".")[0] in ("dask", "distributed", "tornado")}


def test_a_build_with_nothing_to_do_asks_no_fleet(project: ProjectFolder) -> None:
    project.manifest(CARDS)
    project.json("build")
    assert project.json("build", "--dask", "tcp://127.0.0.1:9").counts() == {"unchanged": 3}
