"""The bill: every submission that was accepted, and how often each route was asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from imgbuild.core.errors import StorageError
from imgbuild.core.image import Json, Size


@dataclass(frozen=True, slots=True)
class Order:
    """What a dialect understood of a submission: what is drawn, and what stands on the bill."""

    dialect: str
    model: str
    prompt: str
    pixels: Size
    """What is drawn."""
    format: str
    """png, jpeg or webp."""
    size: str | None = None
    """As it was asked for, in the dialect's own words: "1024x768", "16:9"."""
    quality: str | None = None
    n: int = 1
    task_type: str | None = None
    references: tuple[str, ...] = ()
    """URLs as they were given; "sha256:..." for uploaded files."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One accepted submission."""

    time: float
    """When it was accepted: seconds since 1970."""
    task_id: str
    units: float
    seconds: float
    """How long its task takes."""
    fault: str | None
    order: Order

    def as_json(self) -> dict[str, Json]:
        """Flat, with the order's members beside its own."""
        members: dict[str, Json] = asdict(self)
        order = members.pop("order")
        assert isinstance(order, dict)
        return {**members, **order, "pixels": str(self.order.pixels), "references": [*self.order.references]}


class Ledger:
    """All charges since the start or the last reset, in the order of their acceptance."""

    def __init__(self, file: Path | None = None) -> None:
        """Raises StorageError when the file cannot be written."""
        if file is not None:
            try:
                file.open("a").close()
            except OSError as error:
                raise StorageError(f"cannot write the ledger {file}: {error.strerror}") from error
        self._file = file
        self._charges: list[Charge] = []
        self._requests: Counter[str] = Counter()

    def charge(self, charge: Charge) -> None:
        """Enter a charge: also in the file, before the client hears anything."""
        self._charges.append(charge)
        if self._file is not None:
            line = json.dumps(charge.as_json(), sort_keys=True, ensure_ascii=False)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def count(self, route: str) -> None:
        """Count a request by its method and route."""
        self._requests[route] += 1

    def clear(self) -> None:
        """Forget everything; what is in the file stays."""
        self._charges.clear()
        self._requests.clear()

    def report(self, state: Callable[[str], str], *, refund_failed: bool = False) -> dict[str, Json]:
        """The whole ledger. `state` tells how a task stands; a refunded charge has 0 units."""
        entries: list[Json] = []
        units = 0.0
        images = 0
        for charge in self._charges:
            entry = charge.as_json()
            entry["state"] = state(charge.task_id)
            if refund_failed and entry["state"] == "failed":
                entry["units"] = 0.0
            else:
                units += charge.units
            images += charge.order.n
            entries.append(entry)
        return {
            "charges": entries,
            "total": {"charges": len(entries), "images": images, "units": units},
            "requests": dict(sorted(self._requests.items())),
        }
