"""Two locks compared: which images came, went and changed, and in what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from imgbuild.core.events import Cause, Reason
from imgbuild.core.lock import Lock, LockedImage, LockedOutput

Change = Literal["added", "removed", "changed"]
Why = Callable[[LockedImage, LockedImage], tuple[Reason, ...]]


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """One file that differs; None where it is absent."""

    path: str
    old: LockedOutput | None
    new: LockedOutput | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One image that differs."""

    id: str
    change: Change
    reasons: tuple[Reason, ...]
    outputs: tuple[OutputDifference, ...]

    @property
    def pair(self) -> OutputDifference | None:
        """The file to look at: the largest, for the rest is mostly made from the same picture."""
        return max(self.outputs, key=_pixels, default=None)


def compare(old: Lock, new: Lock, why: Why) -> tuple[Difference, ...]:
    """Every image that differs, by id. `why` tells what of the manifest lies behind two different keys."""
    found = (
        _difference(id, old.images.get(id), new.images.get(id), why)
        for id in sorted({*old.images, *new.images})
        if old.images.get(id) != new.images.get(id)
    )
    return tuple(found)


def _difference(
    id: str,
    old: LockedImage | None,
    new: LockedImage | None,
    why: Why,
) -> Difference:
    before, after = (dict(one.outputs) if one else {} for one in (old, new))
    outputs = tuple(
        OutputDifference(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    )
    if old is None or new is None:
        return Difference(id, "removed" if new is None else "added", (), outputs)
    return Difference(id, "changed", (*why(old, new), *_fields(old, new)), outputs)


def _fields(old: LockedImage, new: LockedImage) -> Iterator[Reason]:
    if old.take != new.take:
        yield Reason("take", old.take, new.take, Cause.CHANGED)
    if old.provider != new.provider:
        yield Reason("provider", old.provider, new.provider, Cause.CHANGED)
    if (old.key, old.take) == (new.key, new.take) and old.source != new.source:
        yield Reason("source", old.source.digest, new.source.digest, Cause.CHANGED)


def _pixels(output: OutputDifference) -> tuple[int, str]:
    shown = output.new or output.old
    return (shown.width * shown.height if shown else 0, output.path)
