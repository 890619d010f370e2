"""Takes of an image: what there is, choosing another, and paying for more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imgbuild.core.errors import UsageError
from imgbuild.core.events import Emit
from imgbuild.core.image import Image
from imgbuild.core.plan.action import Action
from imgbuild.run.build import BuildOptions, Confirm, run_build
from imgbuild.run.interruption import Interruption
from imgbuild.run.planning import plan_workspace
from imgbuild.run.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Take:
    """One result of an image's spec."""

    number: int
    picked: bool
    digest: str
    format: str
    width: int
    height: int
    created: str
    usable: bool
    """The cache has its bytes, or its service can be asked for them."""
    here: bool
    """The cache has its bytes."""
    cost: float | None = None
    unit: str | None = None


def takes_of(workspace: Workspace, image: Image) -> tuple[Take, ...]:
    """The takes that the cache knows for an image as it is declared now, by number.

    Raises:
        UsageError: its references are not there yet, so that nobody knows its key.
    """
    action = _planned(workspace, image)
    picked = action.picked.take if action.picked else None
    records = workspace.cache.records
    results = {n: records.result(key, n) for key in reversed(_keys(action)) for n in records.takes(key)}
    return tuple(
        Take(
            number,
            number == picked,
            result.digest,
            result.format,
            result.width,
            result.height,
            result.created,
            bool(result.task) or workspace.cache.blobs.has(result.digest),
            workspace.cache.blobs.has(result.digest),
            result.cost,
            result.unit,
        )
        for number, result in sorted(results.items())
        if result is not None
    )


def pick(workspace: Workspace, image: Image, number: int, emit: Emit) -> int:
    """Make a take the accepted one: outputs and lock follow. Returns the exit code.

    Raises:
        UsageError: there is no such take.
    """
    takes = {take.number: take.here for take in takes_of(workspace, image) if take.usable}
    if number not in takes:
        known = (
            f"it has {', '.join(map(str, takes))}" if takes else "it has none yet; imgbuild build makes one"
        )
        raise UsageError(f"{image.id} has no take {number}", remedy=known)
    options = BuildOptions(targets=(image.id,), offline=takes[number], wanted={image.id: (number,)})
    return run_build(workspace, options, emit, None)


def reroll(
    workspace: Workspace,
    images: Sequence[Image],
    count: int,
    options: BuildOptions,
    emit: Emit,
    confirm: Confirm | None,
    interruption: Interruption | None = None,
) -> int:
    """Generate `count` more takes of each image, and pick the first new one. Returns the exit code.

    Raises:
        UsageError: as a build does; or an image's references are not there yet.
        BudgetError: it costs more than may be spent.
    """
    wanted: dict[str, tuple[int, ...]] = {}
    for image in images:
        last = _last_take(workspace, image)
        wanted[image.id] = tuple(range(last + 1, last + 1 + count))
    asked = replace(options, targets=tuple(wanted), wanted=wanted)
    return run_build(workspace, asked, emit, confirm, interruption)


def _last_take(workspace: Workspace, image: Image) -> int:
    """The highest number in use: by the cache's takes, and by one that only the lock knows."""
    locked = workspace.lock.images.get(image.id)
    numbers = [take.number for take in takes_of(workspace, image)]
    return max([*numbers, locked.take if locked else 0])


def _planned(workspace: Workspace, image: Image) -> Action:
    plan = plan_workspace(workspace, [image.id])
    action = next(action for action in plan.actions if action.id == image.id)
    if action.keys is None:
        waits = ", ".join(map(str, action.pending))
        raise UsageError(f"{image.id} waits for {waits}", remedy="imgbuild build comes first")
    return action


def _keys(action: Action) -> tuple[str, ...]:
    own = action.keys.generation if action.keys else ()
    return tuple(dict.fromkeys((*([action.picked.key] if action.picked else []), *own)))
