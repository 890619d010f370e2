"""`imgbuild clean`: delete outputs whose bytes are still imgbuild's own, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imgbuild.core.plan.outputs import files_of
from imgbuild.run.collected import Collected
from imgbuild.run.facts import digest_output
from imgbuild.run.workspace import Workspace
from imgbuild.store.fsio import remove_empty_parents
from imgbuild.store.inside import remove_inside
from imgbuild.store.workdir import Workdir


@dataclass(frozen=True, slots=True)
class CleanEntry:
    """One file: removed, or kept because a person changed it."""

    path: str
    action: Literal["remove", "keep"]
    why: str


def clean(workspace: Workspace, *, stale: bool, dry_run: bool) -> tuple[CleanEntry, ...]:
    """Remove outputs: all of the lock's, or with `stale` those that the manifest dropped.

    Manifest and lock stay. Files that were retouched stay, too, and are named. Emptied folders go.
    """
    root = workspace.invocation.root
    workdir = Workdir(root)
    current = {file.path for image in workspace.project.images for file in files_of(image)}
    current |= {path for image in workspace.lock.images.values() for path in image.outputs}
    collected = dict(Collected(workspace, overwrite=False).present())
    current |= collected.keys() & {entry.path for entry in workdir.collected()}
    wanted = {entry.path: entry.digest for entry in workdir.dropped() if entry.path not in current}
    if not stale:
        wanted.update(dict.fromkeys(collected, ""))
        for image in workspace.lock.images.values():
            wanted.update({path: output.digest for path, output in image.outputs.items()})
    entries: list[CleanEntry] = []
    for path, digest in sorted(wanted.items()):
        found = digest_output(root / path)
        if found is None:
            continue
        if found == digest or collected.get(path) or workspace.cache.records.made_by(found):
            entries.append(CleanEntry(path, "remove", "no image has it any more" if stale else "an output"))
            if not dry_run and remove_inside(root, path):
                remove_empty_parents(root / path, root)
        else:
            entries.append(CleanEntry(path, "keep", "it was changed by hand"))
    if not dry_run:
        kept = {entry.path for entry in entries if entry.action == "keep"}
        workdir.forget([path for path in wanted if path not in kept])
    return tuple(entries)
