"""The planner's facts where a shared cache adds to them: plan, ask for what was missed, and plan again.

The planner is pure and asks one question after another; a network wants them all at once. So it plans with
what is known, what it asked for in vain is asked of the shared cache in parallel, and it plans again until
nothing new is asked. Only images that something has to be done for are asked about: an idle build asks for
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

from imgbuild.core.events import ActionKind
from imgbuild.core.lock import Lock
from imgbuild.core.plan.action import Action, Facts, Mode, Plan
from imgbuild.core.plan.planner import plan_image
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.run.facts import DiskFacts
from imgbuild.run.observed import Observed
from imgbuild.run.shared import Shared, Wish

T = TypeVar("T")
_ROUNDS = 100
"""Each round answers what the one before asked; a chain of references takes a round or three a link."""


class SharedFacts(DiskFacts):
    """Disk and local cache, and what the shared cache is known to have.

    `believed`: digests that the lock names, which a locked build takes for there until it fetches them.
    """

    def __init__(
        self,
        root: Path,
        shared: Shared,
        observed: Observed,
        believed: Collection[str] = (),
        wishes: set[Wish] | None = None,
    ) -> None:
        super().__init__(root, shared.cache, observed)
        self._shared = shared
        self._believed = believed
        self._wishes = wishes

    def result(self, key: str, take: int) -> StoredResult | None:
        """A recorded result, here or there."""
        local = super().result(key, take)
        if local is None:
            self._wish("result", key, take)
            return self._shared.results.get((key, take))
        return local

    def generation_keys(self, declared_key: str) -> Sequence[str]:
        """The keys of results that were declared so, here or there."""
        local = super().generation_keys(declared_key)
        if local:
            return local
        self._wish("declared", declared_key)
        return self._shared.declared.get(declared_key, ())

    def outputs(self, recipe_key: str) -> Sequence[StoredOutput]:
        """What a recipe is known to give, here or there."""
        local = super().outputs(recipe_key)
        if local:
            return local
        self._wish("outputs", recipe_key)
        return tuple(self._shared.outputs.get(recipe_key, {}).values())

    def blob(self, digest: str) -> bool:
        """Whether the bytes are here, or can be fetched."""
        if super().blob(digest):
            return True
        self._wish("blob", digest)
        known = self._shared.blobs.get(digest)
        return digest in self._believed and self._shared.usable if known is None else known

    def _wish(self, kind: str, key: str, take: int = 0) -> None:
        if self._wishes is not None:
            self._wishes.add((kind, key, take))


def believed_digests(lock: Lock, mode: Mode) -> frozenset[str]:
    """What a locked build takes for there: it can only succeed with these bytes, and pays nothing if not."""
    if not mode.locked:
        return frozenset()
    sources = {image.source.digest for image in lock.images.values()}
    return lock.output_digests() | sources


def plan_with_shared(
    make: Callable[[Facts], Plan],
    shared: Shared,
    root: Path,
    observed: Observed,
    lock: Lock,
    mode: Mode,
) -> Plan:
    """A plan that knows what the shared cache has."""
    believed = believed_digests(lock, mode)
    facts = SharedFacts(root, shared, observed, believed)
    ours = lock.output_digests()

    def once() -> tuple[Plan, set[Wish]]:
        wishes: set[Wish] = set()
        asking = SharedFacts(root, shared, observed, believed, wishes)
        plan = make(facts)
        masters = {a.id: a.source.digest if a.source else None for a in plan.actions}
        for action in plan.actions:
            if _needs_more(action) and action.resolved is not None:
                plan_image(action.resolved, action.previous, asking, masters, ours, mode)
        return plan, wishes

    return _until_answered(once, shared)


def image_with_shared(
    make: Callable[[Facts], Action], shared: Shared, root: Path, observed: Observed, lock: Lock, mode: Mode
) -> Action:
    """The same for one image, in the midst of a build."""
    believed = believed_digests(lock, mode)

    def once() -> tuple[Action, set[Wish]]:
        wishes: set[Wish] = set()
        action = make(SharedFacts(root, shared, observed, believed, wishes))
        return action, wishes if _needs_more(action) else set()

    return _until_answered(once, shared)


def _until_answered(once: Callable[[], tuple[T, set[Wish]]], shared: Shared) -> T:
    for _ in range(_ROUNDS):
        planned, wishes = once()
        new = [wish for wish in wishes if not shared.knows(wish)]
        if not new or not shared.usable:
            return planned
        shared.ask(new)
    return planned


def _needs_more(action: Action) -> bool:
    """Whether knowing more could change anything: what is restored or as it should be has all it needs."""
    kinds = (ActionKind.GENERATE, ActionKind.DERIVE)
    return action.kind in kinds or bool(action.blocked or action.lost)
