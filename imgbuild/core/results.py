"""What the cache knows: a generated result per key and take, what was paid, and the files derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgbuild.core.image import Json

ADOPTED = "adopted"
"""The provider of a person's own file that was accepted as an image."""
STORED = "stored"
"""The outcome of a payment that gave a result."""
MOST = 1e15
"""What is larger is no amount. So every sum of amounts is a number that JSON has."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """Take `take` of generation key `key`: paid for once, kept for ever."""

    key: str
    take: int
    """From 1."""
    digest: str
    """SHA-256 of the master, the blob's name."""
    format: str
    width: int
    height: int
    bytes: int
    spec: Mapping[str, Json]
    """The spec's set fields, so that a later key can be compared field by field."""
    provider: str
    """The provider's type."""
    image_id: str
    """The image that it was generated for; for people, never for look-up."""
    created: str
    """ISO 8601, UTC."""
    model: str | None = None
    declared: tuple[str, ...] = ()
    """Keys of the same spec with the geometry as the manifest declared it: the second way to find it."""
    cost: float | None = None
    unit: str | None = None
    usage: Mapping[str, Json] = field(default_factory=dict)
    """What the service reported (tokens or units)."""
    project: str | None = None
    """The folder of the project that paid for it; None for free work. A person's own, never published."""
    task: str | None = None
    """The service's own id for it: bytes that are lost can be asked for again, for as long as it has them."""
    origin: str | None = None
    """Where the task is: scheme, host and port."""
    job: str | None = None
    """The submission that it came of: takes of one submission have one `usage` between them."""
    adopted: bool = False
    """A person's file, accepted as the image."""


LEARNED = "the lock's"
"""In place of an encoder: bytes that came with a repository, made elsewhere by who knows what."""


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """A file derived from a source blob by a recipe, with the encoder that made it."""

    recipe_key: str
    """Source digest and operations, without the encoder's version."""
    encoder: str
    """E.g. "libvips 8.18.7 png"; recipe key + encoder is the derivation key."""
    source: str
    digest: str
    format: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What a project paid for one result, or may have paid without having one. It outlives the result."""

    id: str
    image_id: str
    project: str
    """The folder of the project. A person's own, never published."""
    provider: str
    """The provider's type."""
    model: str | None
    created: str
    """ISO 8601, UTC."""
    cost: float | None = None
    """An estimate in `unit`; None where nobody knows."""
    unit: str | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    """The numbers among what the service reported (tokens or units)."""
    outcome: str = STORED
    """`STORED`, or what became of a submission that may have been charged: "refused", "unknown", ..."""
    job: str | None = None
    """The submission: payments of one submission have one `usage` between them."""


def payment_of(result: StoredResult) -> Payment | None:
    """What was paid for a result; None for what was free, or came from elsewhere."""
    if result.project is None:
        return None
    priced = result.unit is not None and is_amount(result.cost)
    return Payment(
        # Also by the submission: what is lost and paid for again may come in the same second.
        id=f"{result.key}.{result.take}.{result.job or result.created}",
        image_id=result.image_id,
        project=result.project,
        provider=result.provider,
        model=result.model,
        created=result.created,
        cost=result.cost if priced else None,
        unit=result.unit if priced else None,
        usage=amounts(result.usage),
        job=result.job,
    )


def amounts(usage: Mapping[str, Json]) -> dict[str, float]:
    """The numbers among the members of what a service reported."""
    return {
        name: value for name, value in usage.items() if isinstance(value, int | float) and is_amount(value)
    }


def is_amount(value: object) -> bool:
    """Whether a value is a number that can be added up."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST <= value <= MOST
