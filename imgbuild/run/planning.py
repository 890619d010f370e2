"""From a workspace to a plan: the same code for `plan`, `build` and `explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imgbuild import __version__
from imgbuild.core.events import WarningEvent
from imgbuild.core.plan.action import Facts, Mode, Plan
from imgbuild.core.plan.planner import make_plan
from imgbuild.core.plan.settled import Settled
from imgbuild.core.targets import select, with_references
from imgbuild.run.collected import Collected
from imgbuild.run.collector import collector_paused
from imgbuild.run.workspace import Workspace
from imgbuild.store.remembered import Remembered

_LEAST = 100
"""Fewer images are planned faster than what is remembered of them could be read."""
_NONE: frozenset[str] = frozenset()
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
"""How a pointer begins (docs/spec.md of github.com/git-lfs/git-lfs)."""


@collector_paused()
def plan_workspace(workspace: Workspace, targets: Sequence[str] = (), mode: Mode | None = None) -> Plan:
    """What a build of these targets would do. Reads the disk and the cache, changes nothing there.

    Raises:
        UsageError: a target that means no image.
    """
    images = workspace.project.images
    chosen = {image.id for image in with_references(select(targets, images), images)}
    resolved = [one for one in workspace.resolved if one.image.id in chosen]
    memory = _memory(workspace) if not targets and mode in (None, Mode()) else None
    known = _texts(memory.read()) if memory else _NONE
    settled = Settled(known)

    def make(facts: Facts) -> Plan:
        with workspace.cache.at_one_moment():
            return make_plan(
                resolved,
                workspace.project.order,
                workspace.lock,
                facts,
                mode or Mode(),
                whole=not targets,
                disabled=workspace.project.disabled,
                settled=settled,
            )

    if workspace.shared is None:
        plan = make(workspace.facts())
    else:
        root, observed = workspace.invocation.root, workspace.observed
        plan = workspace.shared.plan(make, root, observed, workspace.lock, mode or Mode())
    now = frozenset(settled.now if len(settled.now) >= _LEAST else ())
    if memory and known != now:
        memory.keep([*now])
    if targets:
        return plan
    overwrite = mode is not None and mode.overwrite
    return replace(plan, collected=Collected(workspace, overwrite=overwrite).plan(plan.actions))


def _memory(workspace: Workspace) -> Remembered:
    """Which images the last plan found settled, with this cache."""
    invocation = workspace.invocation
    name = f"settled-{invocation.manifest}-{invocation.profile or ''}"
    stamp = f"{__version__} {invocation.placeholder} {workspace.cache.identity}"
    return Remembered(invocation.root, name, stamp, invocation.environ)


def _texts(value: object) -> frozenset[str]:
    return frozenset(text for text in value if isinstance(text, str)) if isinstance(value, list) else _NONE


def plan_warnings(workspace: Workspace, plan: Plan) -> tuple[WarningEvent, ...]:
    """What to know about a plan before agreeing to it."""
    unknown = [action.id for action in plan.actions if action.cost is None]
    messages: list[str] = []
    if unknown:
        what = f"{unknown[0]} has" if len(unknown) == 1 else f"{len(unknown)} images have"
        messages.append(f"{what} no known price, which counts as 0; `pricing` under the provider tells it")
    pointers = [path for path in _in_conflict(plan) if _is_lfs_pointer(workspace.invocation.root / path)]
    if pointers:
        many = len(pointers) > 1
        what = f"and {len(pointers) - 1} more are pointers" if many else "is a pointer"
        messages.append(f"{pointers[0]} {what} of Git LFS, not the file itself; git lfs pull brings it")
    return tuple(WarningEvent(message) for message in messages)


def _in_conflict(plan: Plan) -> Iterator[str]:
    return (output.path for action in plan.actions for output in action.outputs if output.foreign)


def _is_lfs_pointer(path: Path) -> bool:
    """Whether a file is what git checks out for a picture in Git LFS when LFS is not installed."""
    try:
        with path.open("rb") as file:
            return file.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError:
        return False
