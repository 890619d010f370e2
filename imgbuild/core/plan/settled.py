"""Images that an earlier plan found settled: while nothing about them changes, they are not planned anew.

Whether an image is up to date follows from what its provider is asked for, from the lock's entry, from the
file on disk and from the cache's records. What the records gain or lose later does not unsettle an image:
what the lock accepts stays accepted. So a print of the first two, kept, and the file's digest will do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from operator import attrgetter

from imgbuild.core.events import ActionKind
from imgbuild.core.image import ImageReference, Size
from imgbuild.core.lock import LockedImage
from imgbuild.core.plan.action import Action, Facts, OutputPlan
from imgbuild.core.plan.resolve import Resolved

# Everything of an image that decides its picture, its file, or how many results it needs.
_OF_IMAGE = attrgetter(
    *("id", "prompt", "negative_prompt", "model", "quality", "background", "seed", "ratio", "resolution"),
    *("takes", "fit", "output", "embed_prompt", "params"),
    *("alpha", "focus", "derive"),
)
_OF_LOCK = attrgetter(
    *("key", "take", "provider", "model"),
    *("source.digest", "source.format", "source.width", "source.height"),
)


class Settled:
    """The prints of settled images: those that are known, and those of the plan that is being made."""

    def __init__(self, known: Collection[str] = frozenset()) -> None:
        self._known = known
        self._now: list[str] = []

    @property
    def now(self) -> list[str]:
        """The prints of all images that this plan found settled."""
        return self._now

    def action(self, resolved: Resolved, previous: LockedImage | None, facts: Facts) -> Action | None:
        """The action of an image that is known to be settled and still has its files; None for any other."""
        image = resolved.image
        own = image.output
        if previous is None or image.references or image.mask:
            return None
        print_ = _print(resolved, previous)
        if print_ not in self._known:
            return None
        if any(facts.on_disk(path) != locked.digest for path, locked in previous.outputs.items()):
            return None
        self._now.append(print_)
        return Action(
            image.id,
            ActionKind.NONE,
            resolved=resolved,
            take=previous.take,
            source=previous.source,
            outputs=tuple(
                OutputPlan(path, ActionKind.NONE, target=locked, found=locked.digest)
                for path, locked in sorted(previous.outputs.items(), key=lambda one: (one[0] != own, one[0]))
            ),
            previous=previous,
            entry=previous,
        )

    def note(self, action: Action) -> None:
        """Remember an action that leaves everything as it is, if it depends on no other image or file."""
        resolved, previous = action.resolved, action.previous
        if (
            action.settled
            and action.picked is not None
            and not (action.reasons or action.missing or action.blocked or action.lost)
            and resolved is not None
            and previous is not None
            and not (resolved.image.references or resolved.image.mask)
        ):
            self._now.append(_print(resolved, previous))


def referenced(images: Collection[Resolved]) -> frozenset[str]:
    """The ids that other images refer to: for those, a plan says where their results are."""
    both = (r for one in images for r in (*one.image.references, one.image.mask))
    return frozenset(r.id for r in both if isinstance(r, ImageReference))


def _print(resolved: Resolved, previous: LockedImage) -> str:
    image, asked = resolved.image, resolved.ask.asked
    members = (
        _OF_IMAGE(image),
        _text(image.size),
        (_text(asked.size), asked.ratio, asked.resolution),
        resolved.engine,
        resolved.captioned,
        resolved.signed,
        _OF_LOCK(previous),
        [(path, o.digest, o.bytes, o.width, o.height) for path, o in previous.outputs.items()],
    )
    return hashlib.sha256(repr(members).encode(errors="backslashreplace")).hexdigest()[:32]


def _text(size: Size | None) -> str | None:
    return None if size is None else str(size)
