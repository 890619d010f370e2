"""Reference images inside a JSON request, as base64 text."""

from __future__ import annotations

import hashlib
from base64 import b64encode

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.providers.base import ReferenceFile


def base64_of(reference: ReferenceFile) -> str:
    """A reference's bytes as base64 without line breaks. Raises ProviderFailure if they cannot be read."""
    try:
        data = reference.path.read_bytes()
    except OSError as error:
        raise ProviderFailure(
            FailureKind.INVALID,
            f"cannot read the reference {reference.path.name}: {error.strerror or error}",
            remedy="build again",
        ) from error
    if hashlib.sha256(data).hexdigest() != reference.digest:
        # What lies there now was never looked at: it may be anything, and would be sent away.
        raise ProviderFailure(
            FailureKind.INVALID, f"{reference.path.name} changed while building", remedy="build again"
        )
    return b64encode(data).decode("ascii")


def data_uri(reference: ReferenceFile) -> str:
    """A reference as `data:image/png;base64,...`. Raises ProviderFailure if it cannot be read."""
    return f"data:{reference.media_type};base64,{base64_of(reference)}"
