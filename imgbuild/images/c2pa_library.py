"""The library that signs and checks content credentials: an extra, imported by whoever uses it first."""

from __future__ import annotations

from typing import Any

from imgbuild.core.errors import UsageError

_SETTINGS = {
    # What is signed here is checked at once. Nothing is ever fetched: not from a manifest's own address, nor
    # to ask whether a certificate was revoked.
    "verify": {"verify_after_sign": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    # A small picture of each picture, inside it, would only make files larger.
    "builder": {"thumbnail": {"enabled": False}},
}


def c2pa_library() -> Any:
    """The `c2pa` module. Raises UsageError where the extra is not installed."""
    try:
        import c2pa
    except ImportError as error:
        raise UsageError(
            "content credentials need the package c2pa-python", remedy="pip install 'imgbuild[c2pa]'"
        ) from error
    return c2pa


def c2pa_context() -> Any:
    """The settings for one signing or reading, to be closed."""
    return c2pa_library().Context.from_dict(_SETTINGS)
