"""What a TARGET on the command line means: ids, names, globs over ids, tags and output paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from imgbuild.core.errors import UsageError
from imgbuild.core.image import Image, ImageReference
from imgbuild.core.suggest import did_you_mean


def select(targets: Sequence[str], images: Sequence[Image]) -> tuple[Image, ...]:
    """The images that the targets mean, in the manifest's order; all of them without a target.

    Raises:
        UsageError: a target that means nothing, with the nearest id.
    """
    if not targets:
        return tuple(images)
    chosen: set[str] = set()
    for target in targets:
        matching = {image.id for image in images if means(target, image)}
        if not matching:
            raise UsageError(f'no image is called "{target}"', remedy=_remedy(target, images))
        chosen |= matching
    return tuple(image for image in images if image.id in chosen)


def with_references(chosen: Iterable[Image], images: Sequence[Image]) -> tuple[Image, ...]:
    """The chosen images and every image that they refer to, in the manifest's order."""
    by_id = {image.id: image for image in images}
    wanted: dict[str, None] = {}
    waiting = [image.id for image in chosen]
    while waiting:
        id = waiting.pop()
        if id in wanted or id not in by_id:
            continue
        wanted[id] = None
        references = (*by_id[id].references, by_id[id].mask)
        waiting += [r.id for r in references if isinstance(r, ImageReference)]
    return tuple(image for image in images if image.id in wanted)


def means(target: str, image: Image) -> bool:
    """Whether a target means this image."""
    return names(target, image) or any(matches(target, file.path) for file in image.derive)


def names(target: str, image: Image) -> bool:
    """Whether a target means this image by its id, its name, a tag or its own output."""
    if target.startswith("tag:"):
        return target.removeprefix("tag:") in image.tags
    return target == image.name or matches(target, image.id) or target.removeprefix("./") == image.output


def matches(target: str, text: str) -> bool:
    """Whether a target is this text, or a glob for it. Only * and ? are special: ids have brackets."""
    if "*" not in target and "?" not in target:
        return target.removeprefix("./") == text if "/" in target else target == text
    parts = ({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in target)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _remedy(target: str, images: Sequence[Image]) -> str:
    if target.startswith("tag:"):
        tags = sorted({f"tag:{tag}" for image in images for tag in image.tags})
        hint = did_you_mean(target, tags)
    else:
        words = {word for image in images for word in (image.id, image.name, image.output)}
        hint = did_you_mean(target, sorted(words))
    return hint or "imgbuild list shows every id"
