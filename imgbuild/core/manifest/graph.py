"""References between images: the order to build in, and cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

_MAX_CYCLES = 20


def build_order(edges: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Ids in an order in which every image comes after those that it refers to, and the cycles.

    `edges` has every id, with the ids that it refers to. A cycle is a path of references that ends
    where it began; with cycles the order is empty.
    """
    if not any(edges.values()):
        return tuple(edges), []
    remaining = {id_: list(targets) for id_, targets in edges.items()}
    cycles: list[tuple[str, ...]] = []
    while len(cycles) < _MAX_CYCLES:
        try:
            order = tuple(TopologicalSorter(remaining).static_order())
        except CycleError as error:
            # graphlib names predecessors first: turned round it reads "a refers to b".
            cycle = _from_smallest(tuple(reversed(error.args[1])))
            cycles.append(cycle)
            remaining[cycle[0]] = [t for t in remaining[cycle[0]] if t != cycle[1]]
        else:
            return (() if cycles else order), cycles
    return (), cycles


def _from_smallest(cycle: tuple[str, ...]) -> tuple[str, ...]:
    ring = cycle[:-1]
    start = ring.index(min(ring))
    turned = ring[start:] + ring[:start]
    return (*turned, turned[0])
