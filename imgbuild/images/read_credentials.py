"""Reading content credentials back from a file, whoever signed it, without asking anybody."""

from __future__ import annotations

import json
from io import SEEK_END
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

from imgbuild.core.credentials import Credentials
from imgbuild.core.errors import BadImageError, StorageError, UsageError
from imgbuild.core.redact import clean
from imgbuild.core.sniff import HEAD_BYTES, TAIL_BYTES, sniff
from imgbuild.images.c2pa_library import c2pa_context, c2pa_library

_STORE = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""What every file with content credentials holds, in whatever format: the description box of a manifest
store, with its type 63327061-0011-0010-8000-00AA00389B71 (C2PA specification 2.2, 11.1.4.2)."""
_ANYBODY = frozenset({"signingCredential.untrusted"})
"""Whom to trust is for the reader to say: imgbuild has no list of good issuers."""


def holds_credentials(path: Path) -> bool | None:
    """Whether a file holds content credentials, sound or not; None where it cannot be read."""
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return data.find(_STORE) >= 0
    except ValueError:
        # An empty file cannot be mapped.
        return False
    except OSError:
        return None


def read_credentials(path: Path) -> Credentials | None:
    """What a file's content credentials say, and whether they hold; None where it has none.

    Raises StorageError where it cannot be read.
    """
    if not holds_credentials(path):
        return None
    try:
        return _read(path)
    except UsageError as error:
        return Credentials(None, f"{error.message}: {error.remedy}")


def _read(path: Path) -> Credentials:
    c2pa = c2pa_library()
    try:
        with path.open("rb") as stream, c2pa_context() as context:
            format = _format(stream)
            with c2pa.Reader(f"image/{format}", stream, context=context) as reader:
                store = json.loads(reader.json())
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    except BadImageError as error:
        return Credentials(False, error.message)
    except c2pa.C2paError as error:
        return Credentials(False, clean(str(error)))
    failures = [one for one in store.get("validation_status") or () if one.get("code") not in _ANYBODY]
    problem = next((clean(str(one.get("explanation") or one.get("code"))) for one in failures), None)
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info") or {}
    return Credentials(
        holds=not failures,
        problem=problem,
        signer=_text(signature.get("common_name")),
        organisation=_text(signature.get("issuer")),
        made_with=_made_with(manifest),
        source_type=_source_type(manifest),
    )


def _format(stream: BinaryIO) -> str:
    length = stream.seek(0, SEEK_END)
    stream.seek(max(0, length - TAIL_BYTES))
    tail = stream.read()
    stream.seek(0)
    facts = sniff(stream.read(HEAD_BYTES), tail, length)
    stream.seek(0)
    return facts.format


def _made_with(manifest: dict[str, Any]) -> str | None:
    info: dict[str, Any] = next(iter(manifest.get("claim_generator_info") or ()), {})
    words = (info.get("name"), info.get("version"))
    return _text(" ".join(str(word) for word in words if word))


def _source_type(manifest: dict[str, Any]) -> str | None:
    for assertion in manifest.get("assertions") or ():
        if str(assertion.get("label")).startswith("c2pa.actions"):
            for action in assertion.get("data", {}).get("actions") or ():
                if action.get("digitalSourceType"):
                    return _text(str(action["digitalSourceType"]).rpartition("/")[2])
    return None


def _text(value: object) -> str | None:
    return clean(str(value)) if value else None
