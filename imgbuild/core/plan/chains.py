"""Which image is to be had first: the one on which the longest chain of others waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imgbuild.core.image import Image, ImageReference


def chain_lengths(images: Iterable[Image], order: Iterable[str]) -> Mapping[str, int]:
    """How many images, one after the other, wait for each one; those for which none does are left out.

    `order` has every image after those that it refers to. An image whose reference is generated begins
    only when that is there: so the chain's length is what the whole build waits for.
    """
    by_id = {image.id: image for image in images}
    lengths: dict[str, int] = {}
    for id in reversed(tuple(order)):
        image = by_id.get(id)
        for reference in (*image.references, image.mask) if image else ():
            if isinstance(reference, ImageReference):
                lengths[reference.id] = max(lengths.get(reference.id, 0), lengths.get(id, 0) + 1)
    return lengths
