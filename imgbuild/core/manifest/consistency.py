"""What must hold between images: one writer for each path, references that exist, no cycles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from imgbuild.core.image import Image, ImageReference
from imgbuild.core.manifest.expansion import Claim, Expansion, Link
from imgbuild.core.manifest.fields import shown
from imgbuild.core.manifest.graph import build_order
from imgbuild.core.manifest.reporter import Reporter
from imgbuild.core.safepath import collision_key
from imgbuild.core.suggest import did_you_mean


def check_paths(claims: Iterable[Claim], report: Reporter) -> None:
    """Report two writers of one path, and a path that is another's folder."""
    by_key: dict[str, Claim] = {}
    folders: dict[str, Claim] = {}
    for claim in claims:
        key = collision_key(claim.path)
        other = by_key.setdefault(key, claim)
        if other is not claim:
            _twins(claim, other, report)
            continue
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            folders[folder] = claim
            folder = folder.rpartition("/")[0]
    for key in by_key.keys() & folders.keys():
        inner, outer = folders[key], by_key[key]
        where = outer.place.source.position(outer.place.at or 0)
        message = f'{inner.owner} writes below "{outer.path}", which {outer.owner} writes at {where}'
        report.add(inner.place.source, inner.place.at or 0, message, chain=inner.chain)


def _twins(claim: Claim, other: Claim, report: Reporter) -> None:
    where = other.place.source.position(other.place.at or 0)
    what = f'"{claim.path}"'
    if claim.path != other.path:
        what += f', which many file systems take for "{other.path}"'
    report.add(
        claim.place.source,
        claim.place.at or 0,
        f"{claim.owner} and {other.owner} both write {what}; the other is at {where}",
        chain=claim.chain,
        hint="give each image a path of its own, with its axes or its item in it",
    )


def resolve_references(
    expanded: Expansion, disabled: set[str], report: Reporter
) -> tuple[list[Image], tuple[str, ...]]:
    """The images with full ids in their references, and the order to build them in."""
    resolver = _Resolver(expanded, disabled, report)
    edges: dict[str, dict[str, Link]] = {id_: {} for id_ in resolver.ids}
    for link in expanded.links:
        target = resolver.target(link)
        if target is not None:
            edges[link.owner].setdefault(target, link)
    order, cycles = build_order({id_: tuple(targets) for id_, targets in edges.items()})
    for cycle in cycles:
        first, *others = (edges[a][b] for a, b in pairwise(cycle))
        also = ", ".join(str(link.source.position(link.at)) for link in others)
        message = f"references form a cycle: {' -> '.join(cycle)}" + (
            f"; it goes on at {also}" if also else ""
        )
        report.add(first.source, first.at, message, chain=first.chain)
    return [resolver.resolved(image) for image in expanded.images], order


class _Resolver:
    def __init__(self, expanded: Expansion, disabled: set[str], report: Reporter) -> None:
        self._by_name = expanded.by_name
        self.ids = {id_: None for ids in expanded.by_name.values() for id_ in ids}
        self._failed = expanded.failed
        self._disabled = disabled
        self._report = report

    def resolved(self, image: Image) -> Image:
        """The image with full ids in its references."""
        both = (*image.references, image.mask)
        if not any(isinstance(r, ImageReference) for r in both):
            return image
        *references, mask = (
            ImageReference(self._find(image.name, r.id) or r.id) if isinstance(r, ImageReference) else r
            for r in both
        )
        return replace(image, references=tuple(r for r in references if r is not None), mask=mask)

    def target(self, link: Link) -> str | None:
        """The id that a reference means; None, reported, when there is none."""
        found = self._find(link.name, link.target)
        names = _candidates(link.name, link.target)
        if found is not None or not self._failed.isdisjoint(names):
            return found
        family = next((self._by_name[name] for name in names if name in self._by_name), None)
        hint: str | None = None
        if not self._disabled.isdisjoint(names):
            message = f'the image "{shown(link.target)}" is disabled'
        elif family is not None:
            message = f'"{shown(link.target)}" is {len(family)} images'
            hint = f"name one of them, such as @{family[0]}" if family else "its source has no items"
        else:
            message = f'there is no image "{shown(link.target)}"'
            siblings = self._by_name.get(link.target.partition("[")[0], [])
            hint = None if self._report.many else did_you_mean(link.target, [*siblings, *self._by_name])
        self._report.add(link.source, link.at, message, chain=link.chain, hint=hint)
        return None

    def _find(self, name: str, target: str) -> str | None:
        return next((id_ for id_ in _candidates(name, target) if id_ in self.ids), None)


def _candidates(name: str, target: str) -> tuple[str, ...]:
    """What a reference may mean: an image of the same namespace comes first."""
    space, slash, _ = name.rpartition("/")
    return (f"{space}/{target}", target) if slash else (target,)
