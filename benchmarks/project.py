"""Projects as builds leave them: N images, each with its own prompt and a 20 KB output, all up to date.

They are written the way a build writes them (lock, records, blobs, outputs), but without drawing N pictures:
the files' bytes are never decoded where there is nothing to do. What is measured on them is the real command.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.measure import PYTHON, Command
from imgbuild.core.lock import Lock, LockedImage, LockedOutput, LockedSource, render_lock
from imgbuild.core.plan.action import Action
from imgbuild.core.plan.outputs import files_of, make_recipe
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.images.encode import encoder
from imgbuild.run.planning import plan_workspace
from imgbuild.run.workspace import Invocation, Workspace, open_workspace

OUTPUT_BYTES = 20_000
_EDGE = 64
"""Pixels; what the manifest and the lock say of the outputs."""

_HEAD = "version: 1\nimages:\n"


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a manifest, and a cache of its own beside it."""

    root: Path

    @property
    def manifest(self) -> Path:
        """Its manifest."""
        return self.root / "imgbuild.yaml"

    @property
    def cache(self) -> Path:
        """Its cache."""
        return self.root.with_name(f"{self.root.name}.cache")

    @property
    def environ(self) -> dict[str, str]:
        """What the command has to be told."""
        return {"IMGBUILD_CACHE_DIR": str(self.cache)}

    def command(self, *words: str, name: str = "", expect: str = "") -> Command:
        """The real command, started by the interpreter: without the console script's own start."""
        line = ("imgbuild", *words)
        return Command(name or " ".join(line), (PYTHON, "-m", *line), self.root, self.environ, expect)

    def open(self) -> Workspace:
        """The same project in this process."""
        return open_workspace(Invocation(self.root, environ={**os.environ, **self.environ}))

    def forget(self) -> None:
        """Drop what `.imgbuild/` remembers: the next command starts from nothing."""
        shutil.rmtree(self.root / ".imgbuild", ignore_errors=True)


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder for one benchmark, gone afterwards."""
    path = Path(mkdtemp(prefix="imgbuild-benchmark-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def entry(number: int, prompt: str | None = None) -> str:
    """One image as a person writes it."""
    return (
        f"  icon-{number:06}:\n"
        f"    prompt: {prompt or f'a flat icon of thing number {number}'}\n"
        f"    size: {_EDGE}x{_EDGE}\n"
        f"    output: {output(number)}\n"
    )


def output(number: int) -> str:
    """The file of one image."""
    return f"out/{number:06}.png"


def hand_written(root: Path, count: int, first: int = 0, head: str = "") -> Project:
    """A manifest with `count` entries, numbered from `first`; nothing is built. `head`: other settings."""
    root.mkdir()
    project = Project(root)
    entries = map(entry, range(first, first + count))
    project.manifest.write_text(_HEAD.replace("images:", f"{head}images:") + "".join(entries))
    return project


def by_matrix(root: Path, count: int) -> Project:
    """A manifest with one image that expands to `count`, a square number of them; nothing is built."""
    side = round(count**0.5)
    if side * side != count:
        raise ValueError(f"{count} is no square number")
    root.mkdir()
    project = Project(root)
    values = ", ".join(f"v{number:03}" for number in range(side))
    project.manifest.write_text(
        f"{_HEAD}  icon:\n    matrix:\n      item: [{values}]\n      tone: [{values}]\n"
        f"    prompt: a flat icon of {{{{ item }}}}, in {{{{ tone }}}}\n    size: {_EDGE}x{_EDGE}\n"
        "    output: out/{{ item }}-{{ tone }}.png\n"
    )
    return project


def change(project: Project, number: int, prompt: str) -> None:
    """Edit one entry, as a person does in an editor."""
    text = project.manifest.read_text()
    start = text.index(f"  icon-{number:06}:")
    end = text.find("  icon-", start + 1)
    project.manifest.write_text(text[:start] + entry(number, prompt) + ("" if end < 0 else text[end:]))


def write_outputs(root: Path, count: int, first: int = 0, size: int = OUTPUT_BYTES) -> None:
    """The targets' files, each of its own bytes. `size`: of each, in bytes."""
    (root / "out").mkdir()
    for number in range(first, first + count):
        (root / output(number)).write_bytes(number.to_bytes(8, "big") * (size // 8))


def settle(project: Project, first: int = 0, size: int = OUTPUT_BYTES) -> None:
    """Bring everything to where a build of it ends, with outputs of `size` bytes, numbered from `first`."""
    workspace = project.open()
    count = len(workspace.project.images)
    write_outputs(project.root, count, first, size)
    blobs = workspace.cache.blobs
    locked: dict[str, LockedImage] = {}
    kept: list[StoredResult | StoredOutput] = []
    for action in plan_workspace(workspace).actions:
        result, made = _results(action, project.root)
        blob = blobs.path(result.digest)
        blob.parent.mkdir(parents=True, exist_ok=True)
        os.link(project.root / made_path(action), blob)
        kept += [result, made]
        locked[action.id] = LockedImage(
            key=result.key,
            take=1,
            provider=result.provider,
            source=LockedSource(result.digest, result.format, result.width, result.height),
            outputs={made_path(action): LockedOutput(made.digest, made.bytes, made.width, made.height)},
        )
    workspace.cache.records.put(kept)
    workspace.cache.close()
    workspace.lock_path.write_text(render_lock(Lock(locked)))


def made_path(action: Action) -> str:
    """The output of an image that has one."""
    return action.outputs[0].path


def _results(action: Action, root: Path) -> tuple[StoredResult, StoredOutput]:
    assert action.spec is not None
    assert action.keys is not None
    assert action.resolved is not None
    data = (root / made_path(action)).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    result = StoredResult(
        key=action.keys.current,
        take=1,
        digest=digest,
        format="png",
        width=_EDGE,
        height=_EDGE,
        bytes=len(data),
        spec=action.spec.record(),
        provider=action.resolved.provider_type,
        image_id=action.id,
        created="2026-01-01T00:00:00+00:00",
        declared=(*action.keys.declared, *action.keys.picture),
    )
    own, *_ = files_of(action.resolved.image)
    made = StoredOutput(
        recipe_key=make_recipe(action.resolved, own, digest, result.key, result.provider).key(),
        encoder=encoder("png"),
        source=digest,
        digest=digest,
        format="png",
        width=_EDGE,
        height=_EDGE,
        bytes=len(data),
    )
    return result, made
