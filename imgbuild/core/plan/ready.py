"""Which images can be begun: a few ahead of their turn, so that ten thousand that wait cost nothing yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping
from heapq import heapify, heappop, heappush

from imgbuild.core.image import ImageReference
from imgbuild.core.plan.action import Action

NEAR = 64
"""Images of one lane that are begun and wait for their turn there; who has a turn makes room."""

Lane = Hashable
"""What images wait for in turns: the places of a provider, or those who write files."""


class ReadyQueue:
    """Actions in the order in which they are begun: what they refer to first, then the longest chain.

    A lane that is full keeps no other waiting, and an image takes no room in its lane while others are still
    to come that it refers to: each is begun in the end, if each that was begun leaves and is settled.
    """

    def __init__(self, actions: Collection[Action], chains: Mapping[str, int], *, near: int = NEAR) -> None:
        self._most = near
        self.left = len(actions)
        """How many are still to be begun."""
        self._ranks = {action.id: (-chains.get(action.id, 0), place) for place, action in enumerate(actions)}
        self._unmet: dict[str, int] = {}
        self._waiting: dict[str, list[Action]] = {}
        self._lanes: dict[Lane, list[tuple[tuple[int, int], Action]]] = {}
        self._near: dict[str, Lane] = {}
        self._taken: Counter[Lane] = Counter()
        for action in actions:
            needed = {
                one.id for one in action.pending if isinstance(one, ImageReference)
            } & self._ranks.keys()
            for id in needed:
                self._waiting.setdefault(id, []).append(action)
            if needed:
                self._unmet[action.id] = len(needed)
            else:
                self._lane(action).append((self._ranks[action.id], action))
        for lane in self._lanes.values():
            heapify(lane)

    def settle(self, id: str) -> None:
        """What an image gives to others is there, or never will be. The first time counts."""
        for action in self._waiting.pop(id, ()):
            self._unmet[action.id] -= 1
            if not self._unmet[action.id]:
                heappush(self._lane(action), (self._ranks[action.id], action))

    def leave(self, id: str) -> None:
        """An image has had its turn, or needs none. The first time counts."""
        lane = self._near.pop(id, None)
        if lane is not None:
            self._taken[lane] -= 1

    def begin(self) -> Iterator[Action]:
        """Those to begin now."""
        for lane, ready in self._lanes.items():
            while ready and self._taken[lane] < self._most:
                _, action = heappop(ready)
                self._near[action.id] = lane
                self._taken[lane] += 1
                self.left -= 1
                yield action

    def _lane(self, action: Action) -> list[tuple[tuple[int, int], Action]]:
        return self._lanes.setdefault(_lane_of(action), [])


def _lane_of(action: Action) -> Lane:
    sends = action.missing or action.pending or action.lost
    return (action.kind, action.image.provider if sends and action.image else None)
