"""Responsive files from masters that are in the cache, beside sharp."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.measure import Command, Series, in_turns
from benchmarks.peers import program
from benchmarks.project import Project, folder
from benchmarks.scale import Scale
from benchmarks.table import Table, megabytes, ratio, seconds
from imgbuild.core.plan.action import Action
from imgbuild.core.results import StoredResult
from imgbuild.images.vips import pyvips
from imgbuild.run.planning import plan_workspace
from imgbuild.store.blobs import Blob

SHARP_VARIABLE = "IMGBUILD_BENCHMARK_SHARP"
"""A folder in which `npm install sharp` has run."""

_MASTER = (1536, 1024)
_SIZES = ((480, 320), (960, 640), (1440, 960))
_ENCODERS = {
    "avif": {"quality": 65, "effort": 4, "bitdepth": 8, "chromaSubsampling": "4:2:0"},
    "webp": {"quality": 90, "alphaQuality": 100, "effort": 4, "smartSubsample": True},
}
"""The defaults of imgbuild/images/encode.py in sharp's words. libvips takes 4:2:0 at this AVIF quality."""
_EACH = len(_SIZES) * len(_ENCODERS)

_HEAD = f"""version: 1
providers:
  studio:
    type: http
    base_url: http://127.0.0.1:9
    auth: none
    submit:
      path: /v1/images
      json: {{prompt: "{{{{ prompt }}}}", size: "{{{{ size }}}}"}}
      results: data[*].url
    capabilities: {{sizes: ["{_MASTER[0]}x{_MASTER[1]}"]}}
defaults: {{provider: studio, model: painter}}
images:
"""


def measure(scale: Scale) -> Table:
    """480, 960 and 1440 wide in AVIF and WebP from every master; only the deriving is left to do."""
    # Minutes of encoding: 100 masters are enough, a quarter of them a round, so that both sides take turns.
    rounds, masters = scale.of(4, 1), scale.of(25, 1)
    count = masters * _EACH
    with folder() as path:
        project = _project(path / "project", masters)
        pristine = project.cache.rename(path / "pristine")
        files = _masters(pristine, path / "masters")
        build = project.command("build", expect=f"{masters} derived")
        commands = [replace(build, prepare=partial(_underived, project, pristine))]
        peer = _sharp(files, path / "sharp", count)
        if peer:
            commands.append(peer)
        series = in_turns(commands, rounds, warm_up=False)
        ours = series[build.name]
        sizes = [_bytes(project.root / "out"), *([_bytes(path / "sharp")] if peer else [])]
    theirs = series.get("sharp")
    times = ours.against(theirs) if theirs else None
    rows = [_row(one, count, size, theirs) for one, size in zip(series.values(), sizes, strict=True)]
    return Table(
        "Deriving",
        ("command", "files", "wall s", "CPU s", "files/s", "MB written", "peak MB", "throughput x sharp"),
        tuple(rows),
        budget="throughput at least sharp's",
        met=None if scale.small or times is None else times <= 1,
        notes=(
            f"From PNG masters of {_MASTER[0]}x{_MASTER[1]} ({rounds} x {masters}, in turns) to 480, 960 and "
            "1440 pixels in AVIF and WebP, with the same encoders and settings, a thread a picture and a "
            "picture a core on both sides. imgbuild also plans, checks digests, writes provenance into "
            "the files, keeps them in its cache, syncs and records them.",
            *(() if theirs else (f"sharp: not installed; {SHARP_VARIABLE} names the folder that has it.",)),
        ),
    )


def _row(one: Series, count: int, size: int, theirs: Series | None) -> tuple[str, ...]:
    return (
        one.name,
        str(count),
        seconds(one.wall),
        seconds(one.cpu),
        f"{count / one.wall:.2f}",
        f"{size / 1e6:.1f}",
        megabytes(one.peak),
        ratio(1 / one.against(theirs) if theirs else None),
    )


def _project(root: Path, masters: int) -> Project:
    """An image of each prompt with six files, and its master in the cache."""
    root.mkdir()
    project = Project(root)
    largest = "{}x{}".format(*_SIZES[-1])
    smaller = [width for width, _ in _SIZES[:-1]]
    project.manifest.write_text(
        _HEAD
        + "".join(
            f"  p{number}:\n    prompt: scene {number}\n    size: {largest}\n"
            f"    output: out/p{number}-{_SIZES[-1][0]}.avif\n    derive:\n"
            f"      - {{widths: {smaller}, formats: [avif, webp], output: {name}}}\n"
            f"      - {{size: {largest}, formats: [webp], output: {name}}}\n"
            for number in range(masters)
            for name in [f'"out/p{number}-{{{{ width }}}}.{{{{ format }}}}"']
        )
    )
    workspace = project.open()
    asked = {action.keys.current: action for action in plan_workspace(workspace).actions if action.keys}
    for number, action in enumerate(asked.values()):
        drawn = workspace.cache.blobs.scratch()
        drawn.write_bytes(_picture(number))
        workspace.cache.keep_result(drawn, partial(_result, action))
    workspace.cache.close()
    return project


def _result(action: Action, blob: Blob) -> StoredResult:
    assert action.spec is not None
    assert action.keys is not None
    return StoredResult(
        key=action.keys.current,
        take=1,
        digest=blob.digest,
        format="png",
        width=_MASTER[0],
        height=_MASTER[1],
        bytes=blob.bytes,
        spec=action.spec.record(),
        provider="http",
        image_id=action.id,
        created="2026-01-01T00:00:00+00:00",
        declared=(*action.keys.declared, *action.keys.picture),
    )


def _picture(number: int) -> bytes:
    """Soft shapes under fine grain: between a drawing and a photograph for an encoder. PNG."""
    width, height = _MASTER
    shapes = [
        pyvips.Image.perlin(width, height, cell_size=192, seed=3 * number + band).linear(90, 128)
        for band in range(3)
    ]
    grain = pyvips.Image.gaussnoise(width, height, mean=0, sigma=5, seed=number)
    picture = (shapes[0].bandjoin(shapes[1:]) + grain).cast("uchar").copy(interpretation="srgb")
    return bytes(picture.pngsave_buffer(compression=1))


def _masters(cache: Path, to: Path) -> Path:
    """The same masters as plain files."""
    to.mkdir()
    blobs = (path for path in (cache / "blobs").rglob("*") if path.is_file() and not path.suffix)
    for number, blob in enumerate(sorted(blobs)):
        os.link(blob, to / f"p{number}.png")
    return to


def _underived(project: Project, pristine: Path) -> None:
    """Only the masters, as if all had just been generated. Blobs are never written to: links will do."""
    project.forget()
    shutil.rmtree(project.root / "out", ignore_errors=True)
    (project.root / "imgbuild.lock").unlink(missing_ok=True)
    shutil.rmtree(project.cache, ignore_errors=True)
    shutil.copytree(pristine / "blobs", project.cache / "blobs", copy_function=os.link)
    shutil.copytree(pristine, project.cache, ignore=shutil.ignore_patterns("blobs"), dirs_exist_ok=True)


def _sharp(masters: Path, out: Path, count: int) -> Command | None:
    installed, node = os.environ.get(SHARP_VARIABLE), program("node")
    if not installed or not node or not Path(installed, "node_modules", "sharp").is_dir():
        return None
    script = Path(__file__).with_name("derive_with_sharp.js")
    words = (node, script, installed, masters, out, json.dumps(_SIZES), json.dumps(_ENCODERS))

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()

    threads = {"UV_THREADPOOL_SIZE": str(os.cpu_count() or 2)}
    return Command(
        "sharp", tuple(map(str, words)), masters, threads, expect=f"{count} files", prepare=prepare
    )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
