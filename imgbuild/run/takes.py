"""The takes of an image: those of its key as it is declared now, and the results of what it was before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from imgbuild.core.errors import UsageError
from imgbuild.core.image import Image, Json
from imgbuild.core.plan.action import Action
from imgbuild.core.results import StoredResult
from imgbuild.run.planning import plan_workspace
from imgbuild.run.resolution import PLACEHOLDER
from imgbuild.run.workspace import Workspace

HANDLE = re.compile(r"([0-9a-f]{6,64})\.([1-9][0-9]{0,8})")
"""The beginning of a key and the number of a take: names a result, whatever image it is a take of now."""
_SHORTEST = 6


@dataclass(frozen=True, slots=True)
class Take:
    """One result that an image has, or had under another key."""

    number: int
    picked: bool
    digest: str
    format: str
    width: int
    height: int
    created: str
    """When it was made, or adopted; ISO 8601, UTC."""
    usable: bool
    """The cache has its bytes, or its service can be asked for them."""
    here: bool
    """The cache has its bytes."""
    cost: float | None = None
    unit: str | None = None
    handle: str = ""
    """What `pick` takes for any result, e.g. "3f2a9c.2"."""
    key: str = ""
    earlier: bool = False
    """It is of an earlier key: the manifest said something else then."""
    prompt: str | None = None
    """What it was made from: of what was taken over, the prompt that it was paid for."""
    negative_prompt: str | None = None
    model: str | None = None
    provider: str | None = None
    """The provider's type; "adopted" for a person's file."""
    adopted: bool = False
    """A person's file, or a result of another key, accepted for this one."""
    usage: Mapping[str, Json] = field(default_factory=dict)


def takes_of(workspace: Workspace, image: Image, *, everything: bool = False) -> tuple[Take, ...]:
    """The takes that the cache knows for an image as it is declared now, by number.

    `everything`: then also the results of what it was declared as before, the latest first.

    Raises:
        UsageError: its references are not there yet, so that nobody knows its key.
    """
    action = planned(workspace, image)
    keys = keys_of(action)
    current = results_of(workspace, action)
    known: Sequence[StoredResult] = ()
    if everything or any(result.adopted for result in current.values()):
        known = workspace.cache.records.all_results()
    earlier = _earlier(workspace, image, known, keys) if everything else []
    paid_for = {result.digest: result for result in known if not result.adopted}
    picked = action.picked.take if action.picked else None
    now = [
        _take(workspace, result, paid_for, picked=number == picked, earlier=False)
        for number, result in current.items()
    ]
    before = [_take(workspace, result, paid_for, picked=False, earlier=True) for result in earlier]
    return _with_handles([*now, *before])


def planned(workspace: Workspace, image: Image) -> Action:
    """What a build would do for one image, whose key is known.

    Raises:
        UsageError: its references are not there yet.
    """
    plan = plan_workspace(workspace, [image.id])
    action = next(action for action in plan.actions if action.id == image.id)
    if action.keys is None:
        waits = ", ".join(map(str, action.pending))
        raise UsageError(f"{image.id} waits for {waits}", remedy="imgbuild build comes first")
    return action


def keys_of(action: Action) -> tuple[str, ...]:
    """The keys whose results are takes of an image: that of what is picked first."""
    own = action.keys.generation if action.keys else ()
    accepted = (action.previous.key,) if action.previous and action.settled else ()
    return tuple(dict.fromkeys((*([action.picked.key] if action.picked else accepted), *own)))


def results_of(workspace: Workspace, action: Action) -> dict[int, StoredResult]:
    """The results that are takes of an image, by number."""
    records = workspace.cache.records
    found = (
        (number, records.result(key, number))
        for key in reversed(keys_of(action))
        for number in records.takes(key)
    )
    return dict(sorted({number: result for number, result in found if result is not None}.items()))


def next_take(workspace: Workspace, image: Image) -> int:
    """The number after the highest in use: by the cache's takes, and by one that only the lock knows."""
    locked = workspace.lock.images.get(image.id)
    numbers = [take.number for take in takes_of(workspace, image)]
    return max([*numbers, locked.take if locked else 0]) + 1


def _earlier(
    workspace: Workspace, image: Image, known: Iterable[StoredResult], keys: Sequence[str]
) -> list[StoredResult]:
    """What was recorded for an image of this id in this project under other keys, the latest first."""
    root = str(workspace.invocation.root)

    def is_ours(result: StoredResult) -> bool:
        if result.project is None:
            # Free work names no project: another one may have an image of this name, and cards most likely.
            return result.provider != PLACEHOLDER
        # A folder that is no longer there may be this one, moved.
        return result.project == root or not Path(result.project).is_dir()

    found = [one for one in known if one.image_id == image.id and one.key not in keys and is_ours(one)]
    # What was taken over from another key is listed where it was made.
    made = {one.digest for one in found if not one.adopted}
    kept = [one for one in found if not one.adopted or one.digest not in made]
    return sorted(kept, key=lambda one: (one.created, one.key, -one.take), reverse=True)


def _take(
    workspace: Workspace,
    result: StoredResult,
    paid_for: Mapping[str, StoredResult],
    *,
    picked: bool,
    earlier: bool,
) -> Take:
    here = workspace.cache.blobs.has(result.digest)
    made = paid_for.get(result.digest, result) if result.adopted else result
    told = made is not result or not result.adopted
    prompt, negative = (made.spec.get(name) if told else None for name in ("prompt", "negative_prompt"))
    return Take(
        number=result.take,
        picked=picked,
        digest=result.digest,
        format=result.format,
        width=result.width,
        height=result.height,
        created=result.created,
        usable=bool(result.task) or here,
        here=here,
        cost=result.cost,
        unit=result.unit,
        key=result.key,
        earlier=earlier,
        prompt=prompt if isinstance(prompt, str) else None,
        negative_prompt=negative if isinstance(negative, str) else None,
        model=made.model,
        provider=made.provider,
        adopted=result.adopted,
        usage=result.usage,
    )


def _with_handles(takes: Sequence[Take]) -> tuple[Take, ...]:
    """Each with the shortest handle that tells the keys of these takes apart."""
    keys = {take.key for take in takes}
    length = _SHORTEST
    while len({key[:length] for key in keys}) < len(keys):
        length += 1
    return tuple(replace(take, handle=f"{take.key[:length]}.{take.number}") for take in takes)
