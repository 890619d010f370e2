"""What is known about a blob, written beside it: enough to rebuild every record from the files alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from imgbuild.core.derivation import derivation_key
from imgbuild.core.image import Json
from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.store.blobs import Blobs
from imgbuild.store.encoding import (
    Kept,
    Pin,
    dump,
    load,
    output_from_json,
    pin_from_json,
    result_from_json,
    to_json,
)
from imgbuild.store.fsio import remove_file, storage_errors, write_atomic

VERSION = 1
_MAX_BYTES = 16 << 20
"""A prompt has at most 1 MiB; what is larger was not written here."""


def sidecar_path(blobs: Blobs, kept: Kept) -> Path:
    """`<digest>.<key16>.<take>.json` for a result, `.out.json` for an output, `.pin.json` for a pin."""
    match kept:
        case StoredResult():
            tail = f"{kept.key[:16]}.{kept.take}.json"
        case StoredOutput():
            # By the derivation key, because two encoders can make the same bytes from one recipe.
            tail = f"{derivation_key(kept.recipe_key, kept.encoder)[:16]}.out.json"
        case Pin():
            tail = f"{hashlib.sha256(kept.url.encode()).hexdigest()[:16]}.pin.json"
    blob = blobs.path(kept.digest)
    return blob.with_name(f"{blob.name}.{tail}")


def write_sidecar(blobs: Blobs, kept: Kept) -> None:
    """Write it beside its blob, durably for what was paid or cannot be made again.

    Raises StorageError.
    """
    kind = _KINDS[type(kept)]
    text: Json = {"version": VERSION, "kind": kind, kind: to_json(kept)}
    write_atomic(
        sidecar_path(blobs, kept), dump(text).encode() + b"\n", sync=not isinstance(kept, StoredOutput)
    )


def remove_sidecar(blobs: Blobs, kept: Kept) -> None:
    """Delete it, if it is there. Raises StorageError."""
    remove_file(sidecar_path(blobs, kept))


def read_sidecars(blobs: Blobs) -> Iterator[Kept]:
    """Everything that is known about blobs that are there. What cannot be read is left out.

    Results of blobs in quarantine are known as well: they were paid for, and must not be paid for again
    without a word. Raises StorageError.
    """
    present = {entry.digest for entry in blobs.entries()}
    corrupt = blobs.corrupt_digests()
    for path in blobs.sidecar_files():
        digest = path.name.partition(".")[0]
        if digest in present or digest in corrupt:
            kept = _read(path)
            if kept is None or kept.digest != digest:
                continue
            if digest in present or isinstance(kept, StoredResult):
                yield kept


def _read(path: Path) -> Kept | None:
    with storage_errors("read", path):
        try:
            with path.open("rb") as file:
                value = load(file.read(_MAX_BYTES))
        except FileNotFoundError:
            return None
    if not isinstance(value, dict) or value.get("version") != VERSION:
        return None
    match value.get("kind"):
        case "result":
            return result_from_json(value.get("result"))
        case "output":
            return output_from_json(value.get("output"))
        case "pin":
            return pin_from_json(value.get("pin"))
        case _:
            return None


_KINDS: dict[type, str] = {StoredResult: "result", StoredOutput: "output", Pin: "pin"}
