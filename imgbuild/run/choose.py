"""Choosing the accepted take of an image: one that is there, or more that are paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgbuild.core.errors import UsageError
from imgbuild.core.events import Emit
from imgbuild.core.image import Image
from imgbuild.core.plan.action import Mode
from imgbuild.run.adopt import take_over
from imgbuild.run.build import BuildOptions, Confirm, run_build
from imgbuild.run.interruption import Interruption
from imgbuild.run.planning import plan_workspace
from imgbuild.run.takes import HANDLE, Take, next_take, takes_of
from imgbuild.run.workspace import Workspace


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


def pick_result(workspace: Workspace, image: Image, handle: str, emit: Emit) -> int:
    """Make a result the accepted one that was made for this image at any time. Returns the exit code.

    Manifest and lock have to agree, or the next build would pay for what the manifest says. So a result
    of an earlier key becomes a new take of the current one: no copy of its bytes, and nothing is charged.

    Raises:
        UsageError: there is no such result, or its bytes are gone.
    """
    takes = takes_of(workspace, image, everything=True)
    found = _named(takes, handle, image)
    if found.earlier and not found.here:
        raise UsageError(
            f"the bytes of {handle} are no longer in the cache",
            remedy="to ask its service for them, put its prompt back into the manifest and build",
        )
    same = (take for take in takes if not take.earlier and take.here and take.digest == found.digest)
    current = found if not found.earlier else next(same, None)
    number = current.number if current else take_over(workspace, image, found)
    return pick(workspace, image, number, emit)


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
    wanted = _more_takes(workspace, images, count)
    asked = replace(options, targets=tuple(wanted), wanted=wanted)
    return run_build(workspace, asked, emit, confirm, interruption)


def price_of_reroll(workspace: Workspace, images: Sequence[Image], count: int) -> tuple[float | None, str]:
    """What `reroll` would pay, in which unit, from the same plan; None: nobody knows. Nothing is sent.

    Raises:
        UsageError: an image's references are not there yet.
    """
    wanted = _more_takes(workspace, images, count)
    plan = plan_workspace(workspace, tuple(wanted), Mode(wanted=wanted))
    summary = plan.summary()
    known = all(action.cost is not None for action in plan.actions)
    return (summary.cost if known else None), summary.unit


def _more_takes(workspace: Workspace, images: Sequence[Image], count: int) -> dict[str, tuple[int, ...]]:
    """The numbers of so many new takes, by image."""
    firsts = {image.id: next_take(workspace, image) for image in images}
    return {id: tuple(range(first, first + count)) for id, first in firsts.items()}


def _named(takes: Sequence[Take], handle: str, image: Image) -> Take:
    match = HANDLE.fullmatch(handle)
    prefix, number = (match[1], int(match[2])) if match else (handle, 0)
    found = [take for take in takes if take.number == number and take.key.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    what = (
        f"{handle} can mean {len(found)} results of {image.id}"
        if found
        else f"{image.id} has no result {handle}"
    )
    raise UsageError(what, remedy=f"imgbuild takes '{image.id}' --all lists them")
