"""Where a shared cache is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Place:
    """A shared cache: its address for `cache.remote`, and what a builder's environment needs for it."""

    address: str
    environ: dict[str, str] = field(default_factory=dict)
    can_claim: bool = True
